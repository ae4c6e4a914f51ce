// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"encoding/json"
	"errors"

	evanphx "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// FieldManager is the field manager of what the plugin writes.
const FieldManager = "kubectl-canary"

// Write sends the change to the API server and returns the rollout as it is then. The error is ErrChanged if the rollout has
// changed since it was read; any other is the API server's.
func (c Change) Write(ctx context.Context, to client.Client, options ...client.PatchOption) (*unstructured.Unstructured, error) {
	encoded, err := json.Marshal(c.Patch)
	if err != nil {
		return nil, err
	}
	result := c.Rollout.Raw.DeepCopy()
	options = append([]client.PatchOption{client.FieldOwner(FieldManager)}, options...)
	err = to.Patch(ctx, result, client.RawPatch(types.JSONPatchType, encoded), options...)
	if jsonpatch.IsTestFailure(err) || apierrors.IsConflict(err) {
		return nil, ErrChanged
	}
	return result, err
}

// ErrChanged says that nothing was written, because the rollout has changed since it was read.
var ErrChanged = errors.New("the rollout has changed since it was read, so nothing was written")

// guard tests that a field has the value that was read, or is still absent.
func guard(r *Rollout, path ...string) jsonpatch.Operation {
	value, _, _ := unstructured.NestedFieldNoCopy(r.Raw.Object, path...)
	return jsonpatch.Test(jsonpatch.Pointer(path...), value)
}

// guardMemory tests that the rollout has not moved on since it was read. Empty fields are absent from the memory.
func guardMemory(r *Rollout, fields ...string) []jsonpatch.Operation {
	guards := []jsonpatch.Operation{guard(r, "metadata", "uid")}
	for _, field := range fields {
		guards = append(guards, guard(r, "status", "memory", field))
	}
	return guards
}

// annotate sets an annotation, even if the object has none yet.
func annotate(r *Rollout, key, value string) []jsonpatch.Operation {
	if len(r.Annotations) == 0 {
		return []jsonpatch.Operation{
			jsonpatch.Test("/metadata/annotations", nil),
			jsonpatch.Add("/metadata/annotations", map[string]any{key: value}),
		}
	}
	return []jsonpatch.Operation{jsonpatch.Add(jsonpatch.Pointer("metadata", "annotations", key), value)}
}

// Change is what a command changes in a rollout.
type Change struct {
	// Rollout is the rollout as it was read.
	Rollout *Rollout
	// Patch writes the change. It begins with tests, so that it fails if the rollout is no longer what the user saw.
	Patch []jsonpatch.Operation
	// Message describes for a terminal what was done and what comes next.
	Message string
	// Next describes what comes next, as part of a sentence.
	Next string
}

// Preview returns the rollout as it would be after the change. Nothing is written.
func (c Change) Preview() (*unstructured.Unstructured, error) {
	encoded, err := json.Marshal(c.Patch)
	if err != nil {
		return nil, err
	}
	patch, err := evanphx.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	before, err := c.Rollout.Raw.MarshalJSON()
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	result := &unstructured.Unstructured{}
	return result, result.UnmarshalJSON(after)
}
