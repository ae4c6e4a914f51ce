// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// observeOrphans finds the running ReplicaSets that a new rollout can adopt. They lack our label, so the cache does
// not hold them: finding them takes one live list, and only while there is no memory. A ReplicaSet that is ours in
// that list but not in the cache yet was adopted or created by a write that succeeded without a response, or by a
// predecessor. Without it, the rollout would look as if it had never run, and its steps would be skipped.
func (s *observation) observeOrphans(ctx context.Context) error {
	if s.hasMemory() || s.isDeleting() {
		return nil
	}
	list := newList(ReplicaSetKind)
	matching := client.MatchingLabels(s.Spec.Selector.MatchLabels)
	if err := s.Live.List(ctx, list, client.InNamespace(s.Namespace), matching); err != nil {
		return err
	}
	for _, replicaSet := range sorted(list) {
		if s.isOwned(replicaSet) && !slices.ContainsFunc(s.all, isNamed(replicaSet.GetName())) {
			return ErrStale
		}
		if s.isAdoptable(replicaSet) {
			s.orphans = append(s.orphans, replicaSet)
			s.ReplicaSets[replicaSet.GetName()] = replicaSet
		}
	}
	return nil
}

// isOwned reports whether the cache holds a ReplicaSet, or will hold it.
func (s *observation) isOwned(replicaSet *unstructured.Unstructured) bool {
	return metav1.IsControlledBy(replicaSet, s.Snapshot.Rollout) && replicaSet.GetLabels()[v1alpha1.RolloutLabel] == s.Name
}

// isAdoptable reports whether a ReplicaSet has no controller, runs or was ours (a backup keeps labels but drops
// owners), and has pods that our Services can select: with the labels of the rollout's selector and a revision.
func (s *observation) isAdoptable(replicaSet *unstructured.Unstructured) bool {
	if metav1.GetControllerOf(replicaSet) != nil || replicaSet.GetDeletionTimestamp() != nil {
		return false
	}
	isIdle := count(replicaSet, "spec", "replicas") == 0 && count(replicaSet, "status", "replicas") == 0
	if isIdle && replicaSet.GetLabels()[v1alpha1.RolloutLabel] != s.Name {
		return false
	}
	podLabels := revision.PodLabels(revision.Template(replicaSet))
	own, _, _ := unstructured.NestedStringMap(replicaSet.Object, "spec", "selector", "matchLabels")
	return labels.SelectorFromSet(s.Spec.Selector.MatchLabels).Matches(labels.Set(podLabels)) &&
		own[v1alpha1.RevisionLabel] != "" && own[v1alpha1.RevisionLabel] == podLabels[v1alpha1.RevisionLabel]
}

// reportOrphans compares the orphans to the defaulted template of the rollout. No orphan equals nil.
func (s *observation) reportOrphans(normalized map[string]any) {
	for _, replicaSet := range s.orphans {
		s.Observed.Orphans = append(s.Observed.Orphans, plan.Orphan{
			Name:     replicaSet.GetName(),
			Revision: revisionOf(replicaSet),
			Equal:    normalized != nil && revision.Equal(normalized, revision.Template(replicaSet)),
			Desired:  count(replicaSet, "spec", "replicas"),
			Ready:    count(replicaSet, "status", "readyReplicas"),
			Marks:    marksOf(replicaSet),
		})
	}
}
