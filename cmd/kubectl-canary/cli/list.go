// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// NewListCommand returns the command that lists the rollouts of one or all namespaces.
func NewListCommand(o *Options) *cobra.Command {
	var all, watch bool
	command := &cobra.Command{
		Use:     "list",
		Short:   "List the rollouts of a namespace, or of all namespaces",
		Aliases: []string{"ls"},
		Example: `  kubectl canary list
  kubectl canary list -A -w`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
	}
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "List the rollouts of all namespaces.")
	command.Flags().BoolVarP(&watch, "watch", "w", false, "Watch for changes and show them.")
	output := genericclioptions.NewPrintFlags("")
	output.AddFlags(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		if all {
			s.namespace = ""
		}
		switch {
		case output.OutputFlagSpecified() && watch:
			return errors.New("-w shows text: omit -o, or use kubectl get canaryrollouts with both")
		case output.OutputFlagSpecified():
			return s.printList(command.Context(), output)
		case watch:
			return s.watchList(command.Context())
		default:
			return s.showList(command.Context())
		}
	}
	return command
}

func (s *session) printList(ctx context.Context, output *genericclioptions.PrintFlags) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CanaryRolloutList"))
	if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return s.explain(ctx, "", err)
	}
	printer, err := output.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(list, s.data())
}

func (s *session) showList(ctx context.Context) error {
	list := &v1alpha1.CanaryRolloutList{}
	if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
		return s.explain(ctx, "", err)
	}
	if len(list.Items) == 0 {
		_, err := fmt.Fprintln(s.ErrOut, s.none())
		return err
	}
	return s.print(view.List(s.style(), list.Items, s.namespace == "", s.Now()))
}

func (s *session) none() string {
	if s.namespace == "" {
		return "There are no rollouts in any namespace."
	}
	return fmt.Sprintf("There are no rollouts in namespace %s: see all with -A.", s.namespace)
}

func (s *session) watchList(ctx context.Context) error {
	if err := s.client.List(ctx, &v1alpha1.CanaryRolloutList{}, client.InNamespace(s.namespace), client.Limit(1)); err != nil {
		return s.explain(ctx, "", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dirty := make(chan struct{}, 1)
	f := feed.New(s.client, &v1alpha1.CanaryRolloutList{}, dirty, nil, client.InNamespace(s.namespace))
	go f.Run(ctx)
	return s.show(ctx, dirty, func(style view.Style, now time.Time) frame {
		objects, isSynced, err := f.State()
		rollouts := feed.Typed[v1alpha1.CanaryRollout](objects)
		text := s.none() + "\n"
		if len(rollouts) > 0 {
			text = view.List(style, rollouts, s.namespace == "", now)
		}
		if err != nil {
			text += fmt.Sprintf("\nthe above may be out of date: %v\n", err)
		}
		return frame{text: text, isIdle: !isSynced}
	})
}
