// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// featuresTTL is how long an answer about a Gateway is good for: no recheck may meet the answer of the check before it.
const featuresTTL = plan.MirrorRecheck / 2

// Features knows what the classes of gateways say: what gateways can do, and which controller they have, as far as the
// manager may read it. It is safe for concurrent use.
type Features struct {
	live client.Reader
	// known are the classes by Gateway.
	known *utilcache.Expiring
}

// NewFeatures asks the API server by this reader.
func NewFeatures(live client.Reader) *Features {
	return &Features{live: live, known: utilcache.NewExpiring()}
}

// published is what the class of a Gateway says; the zero value when that cannot be read. The features are nil when it
// names none.
type published struct {
	class, controller string
	features          sets.Set[gatewayv1.FeatureName]
}

// of a Gateway. What cannot be found out is no error: it must never stand in the way of a pass, which may be an abort.
func (f *Features) of(ctx context.Context, gateway types.NamespacedName) published {
	if known, isKnown := f.known.Get(gateway); isKnown {
		return known.(published)
	}
	found, err := f.ask(ctx, gateway)
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Cannot find out what a Gateway supports", "gateway", gateway, "reason", err.Error())
	}
	f.known.Set(gateway, found, featuresTTL)
	return found
}

func (f *Features) ask(ctx context.Context, key types.NamespacedName) (published, error) {
	gateway, class := &gatewayv1.Gateway{}, &gatewayv1.GatewayClass{}
	if err := f.live.Get(ctx, key, gateway); err != nil {
		return published{}, err
	}
	if err := f.live.Get(ctx, types.NamespacedName{Name: string(gateway.Spec.GatewayClassName)}, class); err != nil {
		return published{}, err
	}
	found := published{class: class.Name, controller: string(class.Spec.ControllerName)}
	if len(class.Status.SupportedFeatures) > 0 {
		found.features = sets.New[gatewayv1.FeatureName]()
	}
	for _, feature := range class.Status.SupportedFeatures {
		found.features.Insert(feature.Name)
	}
	return found, nil
}

// mirrorFeature is what a class publishes that can copy a percentage of requests. The Gateway API has no name for it in
// GRPCRoutes.
var mirrorFeature = map[string]gatewayv1.FeatureName{
	HTTPRouteKind.Kind: gatewayv1.FeatureName(features.SupportHTTPRouteRequestPercentageMirror),
}

// lacksMirror names the first Gateway of a route whose class shows no support for mirrors. Parents of other kinds publish
// nothing.
func (s *observation) lacksMirror(ctx context.Context, obj *unstructured.Unstructured) *plan.Problem {
	wanted, isNamed := mirrorFeature[obj.GetKind()]
	if !isNamed {
		return nil
	}
	for _, gateway := range route.Gateways(obj) {
		if found := s.Features.of(ctx, gateway); found.features != nil && !found.features.Has(wanted) {
			return &plan.Problem{Reason: v1alpha1.ReasonMirrorNotSupported, Message: fmt.Sprintf(
				"%s %s: GatewayClass %s of Gateway %s publishes what it supports, and %s is not among it: take setMirrorRoute out of the steps, or use another gateway",
				obj.GetKind(), obj.GetName(), found.class, gateway, wanted)}
		}
	}
	return nil
}
