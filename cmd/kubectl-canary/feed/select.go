// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// ReplicaSetsOf selects the ReplicaSets of a rollout, and nothing else: a namespace may hold thousands of other objects.
func ReplicaSetsOf(rollout client.ObjectKey) []client.ListOption {
	return []client.ListOption{client.InNamespace(rollout.Namespace), client.MatchingLabels{v1alpha1.RolloutLabel: rollout.Name}}
}

// PodsOf selects the pods of a rollout's revisions, and nothing else.
func PodsOf(rollout *v1alpha1.CanaryRollout) ([]client.ListOption, error) {
	hasRevision, err := labels.NewRequirement(v1alpha1.RevisionLabel, selection.Exists, nil)
	if err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(rollout.Spec.Selector.MatchLabels).Add(*hasRevision)
	return []client.ListOption{client.InNamespace(rollout.Namespace), client.MatchingLabelsSelector{Selector: selector}}, nil
}
