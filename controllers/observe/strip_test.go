// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// fullReplicaSet has every field that a pass looks at, and others.
func fullReplicaSet(t *testing.T, hash string) *unstructured.Unstructured {
	t.Helper()
	return aReplicaSet(t, "aaa", hash, func(replicaSet *unstructured.Unstructured) {
		replicaSet.SetResourceVersion("20")
		replicaSet.SetCreationTimestamp(anApp(t, "reviews", "").GetCreationTimestamp())
		replicaSet.SetAnnotations(map[string]string{
			v1alpha1.TemplateHashAnnotation: hash, v1alpha1.PromotionAnnotation: "3", v1alpha1.AbortedAnnotation: "slow", "other": "x",
		})
		for _, set := range []struct {
			value any
			path  []string
		}{
			{int64(5), []string{"spec", "minReadySeconds"}},
			{[]any{map[string]any{"conditionType": "x"}}, []string{"spec", "template", "spec", "readinessGates"}},
			{int64(1), []string{"status", "availableReplicas"}},
			{[]any{map[string]any{"manager": "x", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{}}}, []string{"metadata", "managedFields"}},
			{[]any{map[string]any{"type": "ReplicaFailure", "status": "True", "message": "quota"}}, []string{"status", "conditions"}},
		} {
			if err := unstructured.SetNestedField(replicaSet.Object, set.value, set.path...); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestStripReplicaSet: a pass sees the same of a stripped ReplicaSet, and finds it by an equal template. A field that Observer reads
// and StripReplicaSet drops would be empty in every cluster.
func TestStripReplicaSet(t *testing.T) {
	for name, hash := range map[string]string{"known by its annotation": hashOf(t), "known by its template": "of other bytes"} {
		t.Run(name, func(t *testing.T) {
			full := fullReplicaSet(t, hash)
			if hash != hashOf(t) { // the template of the rollout has no gates
				unstructured.RemoveNestedField(full.Object, "spec", "template", "spec", "readinessGates")
			}
			stripped, err := StripReplicaSet(full.DeepCopy())
			if err != nil {
				t.Fatal(err)
			}
			var seen []plan.Observed
			for _, replicaSet := range []client.Object{full, stripped.(client.Object)} {
				w := newWorld(t, []client.Object{anApp(t, "reviews", memory("former", "aaa", "aaa")), replicaSet})
				seen = append(seen, w.mustObserve(t).Observed)
			}
			if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
				t.Errorf("seen of the whole ReplicaSet (-) and of the stripped one (+):\n%s", diff)
			}
			if revision := seen[1].Template.Revision; revision != "aaa" {
				t.Errorf("the template has revision %q, want that of the ReplicaSet", revision)
			}
		})
	}
}

// TestStripReplicaSetKeeps: what a rollout costs in memory is mostly its ReplicaSets. What is not read is not kept.
func TestStripReplicaSetKeeps(t *testing.T) {
	stripped, err := StripReplicaSet(fullReplicaSet(t, "h"))
	if err != nil {
		t.Fatal(err)
	}
	object := stripped.(*unstructured.Unstructured)
	template, _, _ := unstructured.NestedMap(object.Object, "spec", "template", "spec")
	if len(template) != 2 || len(object.GetManagedFields()) > 0 || len(object.GetAnnotations()) != 3 {
		t.Errorf("kept %v", object.Object)
	}
	if again, err := StripReplicaSet(object); err != nil || cmp.Diff(object, again) != "" {
		t.Errorf("stripped twice: %v, %v", again, err)
	}
	if got, err := StripReplicaSet("a tombstone"); got != "a tombstone" || err != nil {
		t.Errorf("a tombstone became %v, %v", got, err)
	}
}
