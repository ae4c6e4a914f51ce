// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

const unknownFields = `
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata:
  name: reviews
  namespace: bookinfo
  uid: u
  annotations: {a: b, kubectl.kubernetes.io/last-applied-configuration: "{}"}
  managedFields: [{manager: kubectl}]
spec:
  minReadySeconds: 7
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews, empty: null}}
    spec: {tomorrow: {x: 1.0}, containers: [{name: a, image: "reviews:<v1>", ports: [{containerPort: 9080}]}]}
  steps: [{setWeight: 10}, {pause: {duration: 1h30m, tomorrow: true}}]
`

// TestRolloutKeepsTemplateAndSteps: hashes and ReplicaSets are made from what is stored, with fields that our types do not know.
// They are the same as those of an unstructured rollout: a hash that changes releases every workload.
func TestRolloutKeepsTemplateAndSteps(t *testing.T) {
	stored := parse(t, unknownFields)
	rollout := typed(t, stored)
	for name, hash := range map[string]func(*unstructured.Unstructured) (string, error){
		"template": func(object *unstructured.Unstructured) (string, error) {
			return revision.Hash(revision.Template(object))
		},
		"steps": revision.StepsHash,
	} {
		want, wantErr := hash(stored)
		got, err := hash(rollout.Raw())
		if want != got || wantErr != nil || err != nil {
			t.Errorf("the %s: %s, want %s; %v, %v", name, got, want, err, wantErr)
		}
	}
	id := revision.Identity{Revision: "aaa", Hash: "h", Replicas: 2}
	if diff := cmp.Diff(revision.Render(stored, id), revision.Render(rollout.Raw(), id)); diff != "" {
		t.Errorf("ReplicaSet of an unstructured rollout (-) and of ours (+):\n%s", diff)
	}
}

// TestRolloutWithoutSteps: no steps are another thing than an empty list of them, as before.
func TestRolloutWithoutSteps(t *testing.T) {
	for _, steps := range []any{nil, []any{}} {
		stored := parse(t, unknownFields)
		if delete(stored.Object["spec"].(map[string]any), "steps"); steps != nil {
			stored.Object["spec"].(map[string]any)["steps"] = steps
		}
		want, _ := revision.StepsHash(stored)
		if got, err := revision.StepsHash(typed(t, stored).Raw()); got != want || err != nil {
			t.Errorf("steps %v: hash %s, want %s; %v", steps, got, want, err)
		}
	}
}

// TestUnreadableRollout: one rollout that our types cannot hold breaks neither the list nor the watch of all. Its own passes fail,
// with what is wrong.
func TestUnreadableRollout(t *testing.T) {
	scheme := testScheme(t)
	unreadable := parse(t, unknownFields)
	unreadable.Object["spec"].(map[string]any)["replicas"] = "many"
	list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "canaryrollout.dev/v1alpha1", "kind": "CanaryRolloutList"}}
	list.Items = []unstructured.Unstructured{*unreadable, *parse(t, unknownFields)}
	data, err := list.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := runtime.Decode(serializer.NewCodecFactory(scheme).UniversalDeserializer(), data)
	if err != nil {
		t.Fatal(err)
	}
	items := decoded.(*RolloutList).Items
	if len(items) != 2 || items[0].unreadable == nil || items[0].Name != "reviews" || items[0].UID != "u" || items[1].unreadable != nil || len(items[1].Spec.Steps) != 2 {
		t.Errorf("decoded %+v", items)
	}
	if names := append(ServicesOf(&items[0]), routeNames(&items[0])...); len(names) > 0 {
		t.Errorf("indexed by %v", names)
	}
	observer := &Observer{Cache: holding{rollout: items[0]}}
	if _, err := observer.Rollout(t.Context(), reviewsKey); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("err = %v, want one that names the field", err)
	}
	observer.Cache = holding{list: items}
	if rollouts, err := observer.Rollouts(t.Context()); err != nil || len(rollouts) != 1 || len(rollouts[0].Spec.Steps) != 2 {
		t.Errorf("readable are %+v, %v", rollouts, err)
	}
}

// TestUnreadableStep: the steps are decoded apart from the rest, and an error in them counts as any other.
func TestUnreadableStep(t *testing.T) {
	stored := parse(t, unknownFields)
	stored.Object["spec"].(map[string]any)["steps"] = []any{map[string]any{"setWeight": "many"}}
	if rollout := typed(t, stored); rollout.unreadable == nil || !strings.Contains(rollout.unreadable.Error(), "spec.steps") || rollout.Name != "reviews" || rollout.Spec.Steps != nil {
		t.Errorf("decoded %+v, %v", rollout.CanaryRollout, rollout.unreadable)
	}
}

// TestManagedFields: they are not decoded, and so cost nothing.
func TestManagedFields(t *testing.T) {
	if rollout := typed(t, parse(t, unknownFields)); rollout.ManagedFields != nil || rollout.UID != "u" {
		t.Errorf("decoded %+v", rollout.ObjectMeta)
	}
}

// holding is a cache with one rollout, or a list of them.
type holding struct {
	client.Reader

	rollout Rollout
	list    []Rollout
}

func (h holding) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	*into.(*Rollout) = h.rollout
	return nil
}

func (h holding) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	into.(*RolloutList).Items = h.list
	return nil
}

// TestRolloutCopy: a copy shares nothing with the object in the cache.
func TestRolloutCopy(t *testing.T) {
	list := &RolloutList{Items: []Rollout{*typed(t, parse(t, unknownFields))}}
	copied := list.DeepCopyObject().(*RolloutList)
	if diff := cmp.Diff(encodedList(t, list), encodedList(t, copied)); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
	copied.Items[0].Annotations["a"] = "changed"
	copied.Items[0].Spec.Template.Raw[0] = ' '
	if original := &list.Items[0]; original.Annotations["a"] != "b" || original.Spec.Template.Raw[0] != '{' {
		t.Errorf("a change of the copy changed the original: %+v", original)
	}
}

func encodedList(t *testing.T, list *RolloutList) string {
	t.Helper()
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStripRollout(t *testing.T) {
	rollout := typed(t, parse(t, unknownFields))
	rollout.TypeMeta = metav1.TypeMeta{} // as a client leaves it
	if _, err := StripRollout(rollout); err != nil {
		t.Fatal(err)
	}
	if rollout.GroupVersionKind() != RolloutKind || rollout.ManagedFields != nil || len(rollout.Annotations) != 1 || rollout.Annotations[corev1.LastAppliedConfigAnnotation] != "" {
		t.Errorf("stripped: %+v", rollout)
	}
}
