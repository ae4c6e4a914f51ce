// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// NewUndoCommand returns the command that applies the template of a previous revision.
func NewUndoCommand(o *Options) *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "undo NAME",
		Short: "Apply the pod template of a former revision again",
		Long: `Apply the pod template of a former revision again. During a release or after an abort, the default is the stable
revision: traffic returns to it and the release ends. Otherwise the default is the revision that was stable before, and
it is released step by step.`,
		Example: `  kubectl canary undo reviews
  kubectl canary undo reviews --to-revision 7d5c8b6f4x
  kubectl canary undo reviews && kubectl canary promote reviews --full   # quick: its pods may still be warm`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().StringVar(&to, "to-revision", "", "The revision to return to. See: kubectl canary history NAME.")
	_ = command.RegisterFlagCompletionFunc("to-revision", o.completeRevisions) // the flag exists
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.findObserved(command.Context(), name)
		if err != nil {
			return err
		}
		templates, err := s.templates(command.Context(), name)
		if err != nil {
			return err
		}
		c, err := undo(r, templates, to, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}

// templates returns the raw pod templates of a rollout's ReplicaSets, by revision, as stored in the API server.
func (s *session) templates(ctx context.Context, name string) (map[string]map[string]any, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(revision.ReplicaSetKind.GroupVersion().WithKind("ReplicaSetList"))
	err := s.client.List(ctx, list, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.RolloutLabel: name})
	if err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of rollout %s: %w", name, err)
	}
	templates := map[string]map[string]any{}
	for i := range list.Items {
		templates[list.Items[i].GetLabels()[v1alpha1.RevisionLabel]] = revision.Template(&list.Items[i])
	}
	return templates, nil
}

func undo(r *rollout, templates map[string]map[string]any, to, flags string) (change, error) {
	if err := r.checkObserved(); err != nil {
		return change{}, err
	}
	if to == "" {
		var err error
		if to, err = former(r, templates); err != nil {
			return change{}, err
		}
	}
	template, found := templates[to]
	switch {
	case !found:
		return change{}, fmt.Errorf("revision %s has no ReplicaSet any more, so there is no template to apply; there is %s", to, known(templates, r.target()))
	case to == r.target():
		return change{}, fmt.Errorf("%s was not changed: it already has the template of revision %s", r.Name, to)
	}
	return change{
		rollout: r,
		patch:   []jsonpatch.Operation{guard(r, "metadata", "uid"), guard(r, "spec", "template"), jsonpatch.Replace("/spec/template", bare(template))},
		message: fmt.Sprintf("applied the template of revision %s to %s again; next: %s. %s", to, r.Name, afterUndo(r, to), follow(r, flags)),
	}, nil
}

// former returns the revision to go back to if none is given.
func former(r *rollout, templates map[string]map[string]any) (string, error) {
	stable := r.Status.Memory.StableRevision
	switch {
	case stable == "":
		return "", fmt.Errorf("%s was not changed: this is its first deploy, so there is no former revision", r.Name)
	case r.target() != stable:
		return stable, nil
	}
	for _, entry := range r.Status.History {
		_, found := templates[entry.Revision]
		if found && entry.Revision != stable && entry.Outcome == v1alpha1.OutcomePromoted {
			return entry.Revision, nil
		}
	}
	return "", fmt.Errorf("%s was not changed: no revision that was stable before has a ReplicaSet any more; choose one with --to-revision: there is %s",
		r.Name, known(templates, stable))
}

// known lists the revisions that a rollout could go back to.
func known(templates map[string]map[string]any, current string) string {
	var names []string
	for name := range templates {
		if name != current {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// bare returns a template as a user would write it: without the revision label and a null creationTimestamp.
func bare(template map[string]any) map[string]any {
	written := runtime.DeepCopyJSON(template)
	unstructured.RemoveNestedField(written, "metadata", "labels", v1alpha1.RevisionLabel)
	if created, found, _ := unstructured.NestedFieldNoCopy(written, "metadata", "creationTimestamp"); found && created == nil {
		unstructured.RemoveNestedField(written, "metadata", "creationTimestamp")
	}
	return written
}

func afterUndo(r *rollout, to string) string {
	memory := r.Status.Memory
	switch {
	case to == memory.StableRevision && memory.CurrentRevision != to:
		return "all traffic returns to it, and the release ends"
	case to == memory.StableRevision:
		return "nothing, because it serves all traffic"
	default:
		return afterChange(r)
	}
}

// afterChange describes what a new template leads to.
func afterChange(r *rollout) string {
	memory := r.Status.Memory
	switch {
	case r.Spec.Paused:
		return fmt.Sprintf("nothing, because spec.paused holds the rollout: kubectl canary resume %s", r.Name)
	case memory == nil || memory.StableRevision == "":
		return "its pods; the first deploy skips the steps"
	case memory.CurrentRevision != memory.StableRevision:
		return fmt.Sprintf("the traffic of revision %s returns to %s, then %s", memory.CurrentRevision, memory.StableRevision, firstStep(r))
	default:
		return firstStep(r)
	}
}

// NewSetCommand returns the parent command of set image.
func NewSetCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use: "set", Short: "Change what a rollout runs",
		RunE: func(command *cobra.Command, _ []string) error {
			return errors.New("set what? For example: " + command.CommandPath() + " image reviews app=registry.example.com/reviews:2")
		},
	}
	command.AddCommand(newSetImageCommand(o))
	return command
}
