// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// pointService writes only our key of the selector.
func (r *run) pointService(ctx context.Context, act plan.PointService) (*observe.Write, error) {
	observed := r.Services[act.Name]
	if observed == nil {
		return nil, errNotObserved
	}
	selector := map[string]any{v1alpha1.RevisionLabel: nil}
	if act.Revision != "" {
		selector[v1alpha1.RevisionLabel] = act.Revision
	}
	object, err := r.patch(ctx, observe.ServiceKind, observed, map[string]any{
		"metadata": map[string]any{"resourceVersion": observed.ResourceVersion},
		"spec":     map[string]any{"selector": selector},
	})
	if err != nil {
		return nil, err
	}
	return wrote(observe.Object{Kind: observe.ServiceKind, Name: act.Name}, object), nil
}

// strict makes the API server reject a field that it would otherwise drop.
const strict = client.FieldValidation(metav1.FieldValidationStrict)

// setTraffic sends the patch that route.Patch returns, if there is anything to change.
func (r *run) setTraffic(ctx context.Context, act plan.SetTraffic) (*observe.Write, error) {
	object, observed := r.route(act)
	if observed == nil {
		return nil, errNotObserved
	}
	patch, err := route.Patch(observed, r.Pairs[object], act.Traffic)
	if err != nil || len(patch) == 0 {
		return nil, err
	}
	written := named(object.Kind, observed)
	if err := r.Writer.Patch(ctx, written, client.RawPatch(types.JSONPatchType, patch), fieldOwner, strict); err != nil {
		return nil, asConflict(err, object)
	}
	write := wrote(object, written)
	write.Since = observed.GetResourceVersion() // a gateway may have written the status since
	return write, nil
}

// route returns the route of an action in the version that was observed.
func (r *run) route(act plan.SetTraffic) (observe.Object, *unstructured.Unstructured) {
	for object, observed := range r.Routes {
		if object.Kind.Kind == act.Kind && object.Name == act.Name {
			return object, observed
		}
	}
	return observe.Object{}, nil
}
