// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one that the API server applies merge patches with
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestStatusPatch: the patch has what differs and no more. What is gone is null, because a merge patch leaves what it does not
// name. A list is there as a whole, because it replaces a list.
func TestStatusPatch(t *testing.T) {
	at := metav1.NewMicroTime(start.UTC())
	pause := &v1alpha1.PauseStatus{Reason: "PauseStep", StartedAt: ptr.To(metav1.NewTime(start))}
	conditions := []metav1.Condition{{Type: "Ready", Status: "True"}, {Type: "Paused", Status: "False"}}
	for name, tc := range map[string]struct {
		prior, next v1alpha1.CanaryRolloutStatus
		want        string
	}{
		"the same": {withMessage("a"), withMessage("a"), `{}`},
		"a field":  {withMessage("a"), withMessage("b"), `{"message":"b"}`},
		"a field that is gone": {
			v1alpha1.CanaryRolloutStatus{Message: "a", Pause: pause}, v1alpha1.CanaryRolloutStatus{}, `{"message":null,"pause":null}`,
		},
		"a field of memory that is gone": {
			v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{Traffic: v1alpha1.TrafficMemory{VerifiedAt: &at}}},
			v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{Traffic: v1alpha1.TrafficMemory{UnverifiedSince: &at, Weight: 5}}},
			`{"memory":{"traffic":{"unverifiedSince":"2026-01-01T00:00:00.123456Z","verifiedAt":null,"weight":5}}}`,
		},
		"the first memory": {
			v1alpha1.CanaryRolloutStatus{}, v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{StableRevision: "r"}},
			`{"memory":{"stableRevision":"r","stepIndex":0}}`,
		},
		"an element of a list": {
			v1alpha1.CanaryRolloutStatus{Conditions: conditions}, v1alpha1.CanaryRolloutStatus{Conditions: conditions[:1]},
			`{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":null,"reason":"","message":""}]}`,
		},
		"a list that is gone": {v1alpha1.CanaryRolloutStatus{Conditions: conditions}, v1alpha1.CanaryRolloutStatus{}, `{"conditions":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			change, err := newStatusChange(&tc.prior, &tc.next)
			if err != nil {
				t.Fatal(err)
			}
			stored, err := change.stored()
			if err != nil {
				t.Fatal(err)
			}
			patch, err := change.patch("7")
			if err != nil {
				t.Fatal(err)
			}
			want := `{"metadata":{"resourceVersion":"7"},"status":` + tc.want + `}`
			if diff := cmp.Diff(want, string(patch)); diff != "" {
				t.Errorf("patch (-want +got):\n%s", diff)
			}
			checkPatched(t, patch, &tc.prior, &stored)
		})
	}
}

// checkPatched applies a patch as the API server does, to a stored rollout with fields that our types do not know.
func checkPatched(t *testing.T, patch []byte, prior, want *v1alpha1.CanaryRolloutStatus) {
	t.Helper()
	var status map[string]any
	if err := json.Unmarshal(encoded(t, prior), &status); err != nil {
		t.Fatal(err)
	}
	status["tomorrow"] = "kept"
	patched, err := jsonpatch.MergePatch(encoded(t, map[string]any{"spec": map[string]any{"paused": true}, "status": status}), patch)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Spec   map[string]any `json:"spec"`
		Status struct {
			v1alpha1.CanaryRolloutStatus

			Tomorrow string `json:"tomorrow"`
		} `json:"status"`
	}
	if err := json.Unmarshal(patched, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*want, got.Status.CanaryRolloutStatus); diff != "" {
		t.Errorf("expected (-) and stored (+):\n%s", diff)
	}
	if got.Status.Tomorrow != "kept" || len(got.Spec) != 1 {
		t.Errorf("the patch changed what it must not: %s", patched)
	}
}

func encoded(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestStatusWrite: what goes to the API server has nothing but the status and the version that it replaces, and what comes back
// has nothing but metadata. The pass that follows sees the status as it is stored: times lose what the format does not hold.
func TestStatusWrite(t *testing.T) {
	h := newHarness(t, aRollout())
	var sent map[string]any
	h.Reconciler.Status = interceptor.NewClient(h.WithWatch, interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if _, isPartial := object.(*metav1.PartialObjectMetadata); !isPartial {
				t.Errorf("the answer is decoded into a %T", object)
			}
			data, err := patch.Data(object)
			if err != nil || patch.Type() != types.MergePatchType {
				t.Errorf("%s, %v", patch.Type(), err)
			}
			if err := json.Unmarshal(data, &sent); err != nil {
				t.Error(err)
			}
			return c.SubResource(sub).Patch(ctx, object, patch, opts...)
		},
	}).Status()
	written := withMessage("first")
	written.Memory.TransitionedAt = ptr.To(metav1.NewMicroTime(start.Add(time.Nanosecond)))
	var seen v1alpha1.CanaryRolloutStatus
	h.Compute = func(in plan.Input) plan.Plan {
		if in.Prior.Message == "first" {
			seen = in.Prior
		}
		return plan.Plan{Status: written}
	}
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	stored := h.stored(t)
	if diff := cmp.Diff(stored.Status, seen); diff != "" {
		t.Errorf("stored (-) and planned from (+):\n%s", diff)
	}
	status, _ := sent["status"].(map[string]any)
	metadata, _ := sent["metadata"].(map[string]any)
	if len(sent) != 2 || len(metadata) != 1 || metadata["resourceVersion"] == "" || status["message"] != "first" {
		t.Errorf("sent %v", sent)
	}
}

// TestStatusChangeIsNone: what is stored as the same is not written again.
func TestStatusChangeIsNone(t *testing.T) {
	status := func(since time.Time, conditions []metav1.Condition) *v1alpha1.CanaryRolloutStatus {
		return &v1alpha1.CanaryRolloutStatus{Conditions: conditions, Memory: &v1alpha1.Memory{TransitionedAt: ptr.To(metav1.NewMicroTime(since))}}
	}
	whole := start.Truncate(time.Microsecond)
	for name, tc := range map[string]struct {
		a, b *v1alpha1.CanaryRolloutStatus
		want bool
	}{
		"equal":             {status(whole, nil), status(whole, []metav1.Condition{}), true},
		"another time zone": {status(whole, nil), status(whole.In(time.FixedZone("x", 3600)), nil), true},
		"less than is kept": {status(whole, nil), status(whole.Add(time.Nanosecond), nil), true},
		"another time":      {status(whole, nil), status(whole.Add(time.Microsecond), nil), false},
		"without memory":    {status(whole, nil), &v1alpha1.CanaryRolloutStatus{}, false},
	} {
		change, err := newStatusChange(tc.a, tc.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := change.isNone(); got != tc.want {
			t.Errorf("%s: the same: %t", name, got)
		}
	}
}
