// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestEqual(t *testing.T) {
	const template = `{metadata: {labels: {app: reviews}}, spec: {containers: [{name: a, image: b, resources: {}}]}}`
	for name, tc := range map[string]struct {
		other string
		want  bool
	}{
		"same":              {template, true},
		"another revision":  {`{metadata: {labels: {app: reviews, pod-template-hash: x}}, spec: {containers: [{name: a, image: b, resources: {}}]}}`, true},
		"null creationTime": {`{metadata: {creationTimestamp: null, labels: {app: reviews}}, spec: {containers: [{name: a, image: b, resources: {}}]}}`, true},
		"empty annotations": {`{metadata: {annotations: {}, labels: {app: reviews}}, spec: {containers: [{name: a, image: b, resources: {}}]}}`, true},
		"another label":     {`{metadata: {labels: {app: reviews, x: y}}, spec: {containers: [{name: a, image: b, resources: {}}]}}`, false},
		"another image":     {`{metadata: {labels: {app: reviews}}, spec: {containers: [{name: a, image: c, resources: {}}]}}`, false},
		"unknown field":     {`{metadata: {labels: {app: reviews}}, spec: {new: 1, containers: [{name: a, image: b, resources: {}}]}}`, false},
		"nothing":           {`{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := object(t, template), object(t, tc.other)
			if got := Equal(a, b); got != tc.want {
				t.Errorf("Equal() = %v", got)
			}
			digestA, errA := Digest(a)
			digestB, errB := Digest(b)
			if got := digestA == digestB; got != tc.want || errA != nil || errB != nil {
				t.Errorf("the same digest: %v, %v, %v", got, errA, errB)
			}
			if diff := cmp.Diff(object(t, tc.other), b); diff != "" {
				t.Errorf("the input was changed:\n%s", diff)
			}
		})
	}
}

func TestEqualOnlyLabelIsTheHash(t *testing.T) {
	if !Equal(object(t, `{metadata: {labels: {pod-template-hash: x}}}`), object(t, `{metadata: {}}`)) {
		t.Error("the hash label must not make a difference")
	}
}

const rollout = `
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: reviews, namespace: bookinfo, uid: some-uid}
spec:
  minReadySeconds: 7
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews, version: v1, empty: null}, annotations: {a: b}}
    spec:
      fieldOfTomorrow: {x: 1}
      containers: [{name: reviews, image: reviews:v1}]
`

const replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: reviews-bcdf456789
  namespace: bookinfo
  labels: {app: reviews, version: v1, empty: "", pod-template-hash: bcdf456789, canaryrollout.dev/rollout: reviews}
  annotations: {canaryrollout.dev/template-hash: some-hash}
  ownerReferences:
  - {apiVersion: canaryrollout.dev/v1alpha1, kind: CanaryRollout, name: reviews, uid: some-uid, controller: true, blockOwnerDeletion: true}
spec:
  replicas: 3
  minReadySeconds: 7
  selector: {matchLabels: {app: reviews, pod-template-hash: bcdf456789}}
  template:
    metadata: {labels: {app: reviews, version: v1, empty: "", pod-template-hash: bcdf456789}, annotations: {a: b}}
    spec:
      fieldOfTomorrow: {x: 1}
      containers: [{name: reviews, image: reviews:v1}]
`

func TestRender(t *testing.T) {
	from := &unstructured.Unstructured{Object: object(t, rollout)}
	got := Render(from, Identity{Revision: "bcdf456789", Hash: "some-hash", Replicas: 3})
	if diff := cmp.Diff(object(t, replicaSet), got.Object); diff != "" {
		t.Errorf("rendered (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(object(t, rollout), from.Object); diff != "" {
		t.Errorf("the rollout was changed:\n%s", diff)
	}
}
