// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// NewGetCommand returns the command that shows a rollout with its steps and pods.
func NewGetCommand(o *Options) *cobra.Command {
	var watch bool
	command := &cobra.Command{
		Use:   "get NAME",
		Short: "Show where a rollout is, what it waits for, its steps, revisions and pods",
		Example: `  kubectl canary get reviews
  kubectl canary get reviews -w
  kubectl canary get reviews -o yaml`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().BoolVarP(&watch, "watch", "w", false, "Watch for changes and show them.")
	output := genericclioptions.NewPrintFlags("")
	output.AddFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.find(command.Context(), name)
		switch {
		case err != nil:
			return err
		case output.OutputFlagSpecified() && watch:
			return fmt.Errorf("-w shows text: omit -o, or use: kubectl get canaryrollout %s -w -o %s", name, *output.OutputFormat)
		case output.OutputFlagSpecified():
			printer, err := output.ToPrinter()
			if err != nil {
				return err
			}
			return printer.PrintObj(r.Raw, s.data())
		case watch:
			return s.watchRollout(command.Context(), r)
		default:
			return s.showRollout(command.Context(), r)
		}
	})
	return command
}

func (s *session) showRollout(ctx context.Context, r *action.Rollout) error {
	podOptions, err := feed.PodsOf(r.CanaryRollout)
	if err != nil {
		return err
	}
	sets, pods := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	var note strings.Builder
	for _, err := range []error{
		s.client.List(ctx, sets, feed.ReplicaSetsOf(client.ObjectKeyFromObject(r))...), s.client.List(ctx, pods, podOptions...),
	} {
		switch {
		case apierrors.IsForbidden(err): // a user who may only read rollouts still sees the rollout
			fmt.Fprintf(&note, "\nnot all is shown: %v\n", err)
		case err != nil:
			return fmt.Errorf("list ReplicaSets and pods: %w", err)
		}
	}
	shown := view.Rollout{Object: r.CanaryRollout, ReplicaSets: sets.Items, Pods: pods.Items, Flags: s.flags()}
	return s.print(shown.Render(s.style(), s.Now()) + note.String())
}

// watched is a rollout that is being watched, with its ReplicaSets and pods.
type watched struct {
	s                   *session
	rollout, sets, pods *feed.Feed
	// last is the rollout as last seen.
	last *v1alpha1.CanaryRollout
}

func (s *session) watchRollout(ctx context.Context, r *action.Rollout) error {
	podOptions, err := feed.PodsOf(r.CanaryRollout)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dirty := make(chan struct{}, 1)
	start := func(kind client.ObjectList, options []client.ListOption) *feed.Feed {
		f := feed.New(s.client, kind, dirty, nil, options...)
		go f.Run(ctx)
		return f
	}
	w := &watched{
		s: s, last: r.CanaryRollout,
		rollout: start(&v1alpha1.CanaryRolloutList{}, s.byName(r.Name)),
		sets:    start(&appsv1.ReplicaSetList{}, feed.ReplicaSetsOf(client.ObjectKeyFromObject(r))),
		pods:    start(&corev1.PodList{}, podOptions),
	}
	return s.show(ctx, dirty, w.render)
}

func (s *session) byName(name string) []client.ListOption {
	return []client.ListOption{client.InNamespace(s.namespace), client.MatchingFields{"metadata.name": name}}
}

// render returns an idle frame until each list has succeeded or failed.
func (w *watched) render(style view.Style, now time.Time) frame {
	rollouts, isSynced, err := w.rollout.State()
	sets, hasSets, setsErr := w.sets.State()
	pods, hasPods, podsErr := w.pods.State()
	if !isSynced && err == nil || !hasSets && setsErr == nil || !hasPods && podsErr == nil {
		return frame{isIdle: true}
	}
	found := feed.Typed[v1alpha1.CanaryRollout](rollouts)
	if len(found) > 0 {
		w.last = &found[0]
	}
	shown := view.Rollout{
		Object: w.last, ReplicaSets: feed.Typed[appsv1.ReplicaSet](sets), Pods: feed.Typed[corev1.Pod](pods), Flags: w.s.flags(),
	}
	text := shown.Render(style, now)
	if err := errors.Join(err, setsErr, podsErr); err != nil {
		text += fmt.Sprintf("\nthe above may be out of date: %v\n", err)
	}
	isGone := isSynced && len(found) == 0
	if isGone {
		text += fmt.Sprintf("\nrollout %s was deleted\n", w.last.Name)
	}
	return frame{text: text, isLast: isGone}
}
