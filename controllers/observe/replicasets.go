// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// observeReplicaSets reads the ReplicaSets that the rollout controls.
func (s *observation) observeReplicaSets(ctx context.Context) error {
	list := newList(ReplicaSetKind)
	owned := client.MatchingFields{IndexOwner: string(s.UID)}
	if err := s.Cache.List(ctx, list, client.InNamespace(s.Namespace), owned, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	if err := s.addOrphaned(ctx, list); err != nil {
		return err
	}
	s.all = sorted(list)
	if err := s.checkFreshReplicaSets(ctx); err != nil {
		return err
	}
	for _, replicaSet := range s.all {
		if replicaSet.GetDeletionTimestamp() != nil {
			continue
		}
		s.owned = append(s.owned, replicaSet)
		s.ReplicaSets[replicaSet.GetName()] = replicaSet
		s.Observed.ReplicaSets = append(s.Observed.ReplicaSets, observedReplicaSet(replicaSet))
	}
	return nil
}

// addOrphaned adds the ReplicaSets that a deletion with --cascade=orphan has already removed from our control. They
// still have our label, and their traffic still has to be handed back.
func (s *observation) addOrphaned(ctx context.Context, owned *unstructured.UnstructuredList) error {
	if s.DeletionTimestamp == nil {
		return nil
	}
	labelled := newList(ReplicaSetKind)
	ours := client.MatchingFields{IndexRollout: s.Name}
	if err := s.Cache.List(ctx, labelled, client.InNamespace(s.Namespace), ours, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for _, replicaSet := range labelled.Items {
		if metav1.GetControllerOf(&replicaSet) == nil {
			owned.Items = append(owned.Items, replicaSet)
		}
	}
	return nil
}

// checkFreshReplicaSets also checks ReplicaSets that were written but are not listed.
func (s *observation) checkFreshReplicaSets(ctx context.Context) error {
	for _, name := range s.Tracker.pendingNames(s.Key(), ReplicaSetKind) {
		var found metav1.Object
		if i := slices.IndexFunc(s.all, isNamed(name)); i >= 0 {
			found = s.all[i]
		}
		if err := s.fresh(ctx, s.Key(), Object{ReplicaSetKind, name}, found); err != nil {
			return err
		}
	}
	return nil
}

func isNamed(name string) func(*unstructured.Unstructured) bool {
	return func(object *unstructured.Unstructured) bool { return object.GetName() == name }
}

// sorted sorts by age, then by name: a cache lists objects in random order.
func sorted(list *unstructured.UnstructuredList) []*unstructured.Unstructured {
	objects := make([]*unstructured.Unstructured, len(list.Items))
	for i := range list.Items {
		objects[i] = &list.Items[i]
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		byAge := a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
		return cmp.Or(byAge, cmp.Compare(a.GetName(), b.GetName()))
	})
	return objects
}

func observedReplicaSet(replicaSet *unstructured.Unstructured) plan.ReplicaSet {
	return plan.ReplicaSet{
		Name:            replicaSet.GetName(),
		Revision:        revisionOf(replicaSet),
		Images:          images(revision.Template(replicaSet)),
		Desired:         count(replicaSet, "spec", "replicas"),
		Replicas:        count(replicaSet, "status", "replicas"),
		Ready:           count(replicaSet, "status", "readyReplicas"),
		Available:       count(replicaSet, "status", "availableReplicas"),
		Current:         number(replicaSet, "status", "observedGeneration") >= replicaSet.GetGeneration(),
		MinReadySeconds: count(replicaSet, "spec", "minReadySeconds"),
		Gated:           isGated(replicaSet),
		Created:         replicaSet.GetCreationTimestamp().Time,
		Marks:           marksOf(replicaSet),
	}
}

// marksOf treats an invalid number as none.
func marksOf(replicaSet *unstructured.Unstructured) plan.Marks {
	annotations := replicaSet.GetAnnotations()
	promotion, _ := strconv.ParseInt(annotations[v1alpha1.PromotionAnnotation], 10, 64)
	return plan.Marks{Promotion: max(promotion, 0), AbortReason: annotations[v1alpha1.AbortedAnnotation]}
}

func isGated(replicaSet *unstructured.Unstructured) bool {
	gates, _, _ := unstructured.NestedFieldNoCopy(revision.Template(replicaSet), "spec", "readinessGates")
	list, _ := gates.([]any)
	return len(list) > 0
}

// revisionOf returns the template's label, which the pods have and Services select by.
func revisionOf(replicaSet *unstructured.Unstructured) string {
	of, _, _ := unstructured.NestedString(revision.Template(replicaSet), "metadata", "labels", v1alpha1.RevisionLabel)
	return of
}

func podLabels(replicaSet *unstructured.Unstructured) map[string]string {
	return revision.PodLabels(revision.Template(replicaSet))
}

func number(object *unstructured.Unstructured, fields ...string) int64 {
	value, _, _ := unstructured.NestedInt64(object.Object, fields...)
	return value
}

// count reads a number of pods or seconds, which the API server keeps within int32.
func count(object *unstructured.Unstructured, fields ...string) int32 {
	return int32(number(object, fields...)) //nolint:gosec // bounded by the schema of ReplicaSet
}

// images returns the images of a template's containers, in order.
func images(template map[string]any) string {
	containers, _, _ := unstructured.NestedFieldNoCopy(template, "spec", "containers")
	list, _ := containers.([]any)
	var names []string
	for _, container := range list {
		fields, _ := container.(map[string]any)
		if image, _ := fields["image"].(string); image != "" {
			names = append(names, image)
		}
	}
	return strings.Join(names, ", ")
}
