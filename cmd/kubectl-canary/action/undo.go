// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// Templates reads the raw pod templates of a rollout's ReplicaSets, by revision, as stored in the API server.
func Templates(ctx context.Context, from client.Reader, rollout client.ObjectKey) (map[string]map[string]any, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(revision.ReplicaSetKind.GroupVersion().WithKind("ReplicaSetList"))
	if err := from.List(ctx, list, feed.ReplicaSetsOf(rollout)...); err != nil {
		return nil, fmt.Errorf("list the ReplicaSets of rollout %s: %w", rollout.Name, err)
	}
	templates := map[string]map[string]any{}
	for i := range list.Items {
		templates[list.Items[i].GetLabels()[v1alpha1.RevisionLabel]] = revision.Template(&list.Items[i])
	}
	return templates, nil
}

// Undo applies the template of a former revision again. If to is empty, it is the stable revision during a release and after an
// abort, otherwise the one that was stable before.
func Undo(r *Rollout, templates map[string]map[string]any, to, flags string) (Change, error) {
	if err := r.checkObserved(); err != nil {
		return Change{}, err
	}
	if to == "" {
		var err error
		if to, err = former(r, templates); err != nil {
			return Change{}, err
		}
	}
	template, found := templates[to]
	switch {
	case !found:
		return Change{}, fmt.Errorf("revision %s has no ReplicaSet any more, so there is no template to apply; there is %s", to, known(templates, r.Target()))
	case to == r.Target():
		return Change{}, fmt.Errorf("%s was not changed: it already has the template of revision %s", r.Name, to)
	}
	return Change{
		Rollout: r,
		Patch:   []jsonpatch.Operation{guard(r, "metadata", "uid"), guard(r, "spec", "template"), jsonpatch.Replace("/spec/template", bare(template))},
		Message: fmt.Sprintf("applied the template of revision %s to %s again; next: %s. %s", to, r.Name, afterUndo(r, to), follow(r, flags)),
		Next:    afterUndo(r, to),
	}, nil
}

// former returns the revision to go back to if none is given.
func former(r *Rollout, templates map[string]map[string]any) (string, error) {
	stable := r.Status.Memory.StableRevision
	switch {
	case stable == "":
		return "", fmt.Errorf("%s was not changed: this is its first deploy, so there is no former revision", r.Name)
	case r.Target() != stable:
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

func afterUndo(r *Rollout, to string) string {
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
func afterChange(r *Rollout) string {
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
