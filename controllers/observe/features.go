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

// featuresTTL is how long an answer about a Gateway is cached. It is shorter than MirrorRecheck, so that no recheck
// gets the answer of the previous check.
const featuresTTL = plan.MirrorRecheck / 2

// Features knows what GatewayClasses publish: the features that gateways support, and their controller, as far as the
// manager may read it. It is safe for concurrent use.
type Features struct {
	live client.Reader
	// known are the answers by Gateway.
	known *utilcache.Expiring
}

// NewFeatures returns a Features that asks the API server through this reader.
func NewFeatures(live client.Reader) *Features {
	return &Features{live: live, known: utilcache.NewExpiring()}
}

// published is what the class of a Gateway publishes; the zero value if it cannot be read. The features are nil if
// the class names none.
type published struct {
	class, controller string
	features          sets.Set[gatewayv1.FeatureName]
}

// of returns what the class of a Gateway publishes. A failed read is not an error: it must never block a pass, which
// may be an abort.
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

// use is something that steps require of a gateway, and the feature that a class publishes for it. The Gateway API
// has names for such features only for HTTPRoutes.
type use struct {
	reason  string
	feature features.FeatureName
	// remedy is what to do without the feature.
	remedy string
}

var (
	mirroring = use{v1alpha1.ReasonMirrorNotSupported, features.SupportHTTPRouteRequestPercentageMirror, "remove setMirrorRoute from the steps"}
	// mirroringTwice applies to a rule that already has a mirror of the user's.
	mirroringTwice = use{v1alpha1.ReasonMirrorNotSupported, features.SupportHTTPRouteRequestMultipleMirrors,
		"remove setMirrorRoute from the steps, or the other mirror from the rule"}
	matchingQuery  = use{v1alpha1.ReasonHeaderRouteNotSupported, features.SupportHTTPRouteQueryParamMatching, "remove queryParams from setHeaderRoute"}
	matchingMethod = use{v1alpha1.ReasonHeaderRouteNotSupported, features.SupportHTTPRouteMethodMatching, "remove method from setHeaderRoute"}
)

// lacks reports the first Gateway of a route whose class publishes its features, but not this one. Parents of other
// kinds publish nothing.
func (s *observation) lacks(ctx context.Context, obj *unstructured.Unstructured, of use) *plan.Problem {
	if obj.GetKind() != HTTPRouteKind.Kind {
		return nil
	}
	wanted := gatewayv1.FeatureName(of.feature)
	for _, gateway := range route.Gateways(obj) {
		if found := s.Features.of(ctx, gateway); found.features != nil && !found.features.Has(wanted) {
			return &plan.Problem{Reason: of.reason, Message: fmt.Sprintf(
				"%s %s: GatewayClass %s of Gateway %s publishes its supported features, without %s: %s, or use another gateway",
				obj.GetKind(), obj.GetName(), found.class, gateway, wanted, of.remedy)}
		}
	}
	return nil
}

// unsupported checks only what the steps use.
func (s *observation) unsupported(ctx context.Context, obj *unstructured.Unstructured, reading route.Reading) plan.Unsupported {
	var unsupported plan.Unsupported
	if plan.Mirrors(s.Spec.Steps) {
		unsupported.Mirror = s.mirrorProblem(ctx, obj, reading)
	}
	for _, step := range s.Spec.Steps {
		if step.SetHeaderRoute == nil {
			continue
		}
		for _, match := range step.SetHeaderRoute.Matches {
			if len(match.QueryParams) > 0 && unsupported.QueryParams == nil {
				unsupported.QueryParams = s.lacks(ctx, obj, matchingQuery)
			}
			if match.Method != nil && unsupported.Method == nil {
				unsupported.Method = s.lacks(ctx, obj, matchingMethod)
			}
		}
	}
	return unsupported
}

func (s *observation) mirrorProblem(ctx context.Context, obj *unstructured.Unstructured, reading route.Reading) *plan.Problem {
	if problem := reading.MirrorProblem; problem != nil {
		return &plan.Problem{Reason: problem.Reason, Message: problem.Message}
	}
	problem := s.lacks(ctx, obj, mirroring)
	if problem == nil && reading.Mirrored {
		problem = s.lacks(ctx, obj, mirroringTwice)
	}
	return problem
}
