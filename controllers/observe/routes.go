// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// Pair is the pair of backends that the rollout's routes carry.
func (r *Rollout) Pair() route.Pair {
	return route.Pair{
		Rollout: r.Name, Namespace: r.Namespace,
		Stable: r.Spec.Traffic.StableService, Canary: r.Spec.Traffic.CanaryService,
	}
}

// lookAtRoutes reads the routes in the order of the spec.
func (s *observation) lookAtRoutes(ctx context.Context) error {
	for _, reference := range s.Spec.Traffic.Routes {
		observed, err := s.route(ctx, reference)
		if err != nil {
			return err
		}
		s.Observed.Routes = append(s.Observed.Routes, observed)
	}
	return nil
}

func (s *observation) route(ctx context.Context, reference v1alpha1.RouteReference) (plan.Route, error) {
	object := Object{HTTPRouteKind, reference.Name}
	found, err := s.findRoute(ctx, object)
	if err != nil {
		return plan.Route{}, err
	}
	if found == nil {
		return plan.Route{Kind: object.Kind.Kind, Name: object.Name, Problem: &plan.Problem{
			Reason:  v1alpha1.ReasonRouteNotFound,
			Message: fmt.Sprintf("HTTPRoute %s does not exist: create it", object.Name),
		}}, nil
	}
	s.Routes[object] = found
	return s.observedRoute(found), nil
}

// findRoute returns nil when there is no such route. The cache holds all of them, so there is nothing to look up.
func (s *observation) findRoute(ctx context.Context, object Object) (*unstructured.Unstructured, error) {
	found := New(object.Kind)
	err := s.Cache.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: object.Name}, found)
	switch {
	case apierrors.IsNotFound(err):
		return nil, s.checkFresh(ctx, object, nil)
	case err != nil:
		return nil, err
	}
	return found, s.checkFresh(ctx, object, found)
}

func (s *observation) observedRoute(found *unstructured.Unstructured) plan.Route {
	var headerRoutes []v1alpha1.SetHeaderRoute
	if s.hasMemory() {
		headerRoutes = s.Status.Memory.StepHeaderRoutes
	}
	reading, acceptance := route.Read(found, s.Pair(), headerRoutes), route.Accepted(found)
	observed := plan.Route{
		Kind: found.GetKind(), Name: found.GetName(), Found: true,
		Generation: reading.Generation, Weight: reading.Weight, Total: reading.Total,
		Weights: route.Weights(found, s.Pair()), Writer: writerOf(found),
		Headers: plan.HeaderState(reading.Headers), OtherUses: reading.OtherUses,
		AcceptedGeneration: acceptance.Generation, Unversioned: acceptance.Unversioned, Pending: acceptance.Pending,
	}
	if problem := reading.Problem; problem != nil && !s.isIrrelevant(problem) {
		observed.Problem = &plan.Problem{Reason: problem.Reason, Message: problem.Message}
	}
	return observed
}

// isIrrelevant says that a problem is about header routes only while none are in force: the weights can be written, so
// it must not stand in the way of an abort, which takes the header routes out of force first.
func (s *observation) isIrrelevant(problem *route.Problem) bool {
	return problem.HeadersOnly && (!s.hasMemory() || !s.Status.Memory.Traffic.HeaderRoutes)
}
