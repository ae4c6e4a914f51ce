// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// missingKindRetry is the interval between checks for a kind that the cluster does not serve.
const missingKindRetry = 15 * time.Second

// pair returns the pair of backends that a route of the rollout carries.
func (s *Snapshot) pair(kind, name string) route.Pair {
	pair := route.Pair{Rollout: s.Name, Namespace: s.Namespace, Missing: s.missing[kind]}
	pair.Stable, pair.Canary = s.services()
	isIt := func(otherKind, otherName string) bool { return otherName == name && otherKind == kind }
	for _, reference := range s.Spec.Traffic.Routes {
		if isIt(cmp.Or(reference.Kind, HTTPRouteKind.Kind), reference.Name) {
			pair.RuleNames = reference.RuleNames
		}
	}
	if s.Status.Memory != nil {
		for _, managed := range s.Status.Memory.Routes {
			if isIt(managed.Kind, managed.Name) {
				pair.RuleNames = managed.RuleNames
			}
		}
	}
	return pair
}

// read reads a route. If the route names the Services of the spec instead of those in force, it reads it with the
// former.
func (s *observation) read(found *unstructured.Unstructured, headerRoutes []v1alpha1.SetHeaderRoute) (route.Reading, route.Pair) {
	pair := s.pair(found.GetKind(), found.GetName())
	reading := route.Read(found, pair, headerRoutes)
	next := pair
	next.Stable, next.Canary = s.Spec.Traffic.StableService, s.Spec.Traffic.CanaryService
	if !lacksPair(reading) || next.Stable == pair.Stable && next.Canary == pair.Canary {
		return reading, pair
	}
	if nextReading := route.Read(found, next, headerRoutes); !lacksPair(nextReading) {
		return nextReading, next
	}
	return reading, pair
}

func lacksPair(reading route.Reading) bool {
	return reading.Problem != nil && reading.Problem.Reason == v1alpha1.ReasonBackendPairNotFound
}

// observeRoutes reads the routes in the order of the spec, then those that were removed from it.
func (s *observation) observeRoutes(ctx context.Context) error {
	references := slices.Clone(s.Spec.Traffic.Routes)
	if s.hasMemory() {
		for _, managed := range s.Status.Memory.Routes {
			if !slices.ContainsFunc(s.Spec.Traffic.Routes, func(reference v1alpha1.RouteReference) bool {
				return reference.Name == managed.Name && cmp.Or(reference.Kind, HTTPRouteKind.Kind) == managed.Kind
			}) {
				references = append(references, v1alpha1.RouteReference{Kind: managed.Kind, Name: managed.Name})
			}
		}
	}
	for i, reference := range references {
		observed, err := s.route(ctx, reference)
		if err != nil {
			return err
		}
		observed.RuleNames, observed.Leaving = reference.RuleNames, i >= len(s.Spec.Traffic.Routes)
		s.Observed.Routes = append(s.Observed.Routes, observed)
	}
	return nil
}

func (s *observation) route(ctx context.Context, reference v1alpha1.RouteReference) (plan.Route, error) {
	reference.Kind = cmp.Or(reference.Kind, HTTPRouteKind.Kind)
	missing := func(reason, message string) plan.Route {
		return plan.Route{Kind: reference.Kind, Name: reference.Name, Problem: &plan.Problem{Reason: reason, Message: message}}
	}
	kind, err := s.Kinds.Resolve(ctx, reference.Kind)
	if err != nil {
		s.observeAgain(s.now.Add(missingKindRetry))
		return missing(v1alpha1.ReasonRouteKindNotServed, err.Error()), ctx.Err()
	}
	object := Object{kind, reference.Name}
	found, err := s.findRoute(ctx, object)
	if err != nil {
		return plan.Route{}, err
	}
	if found == nil {
		return missing(v1alpha1.ReasonRouteNotFound, fmt.Sprintf("%s %s does not exist: create it", kind.Kind, object.Name)), nil
	}
	s.Routes[object] = found
	return s.observedRoute(ctx, found), nil
}

// findRoute returns nil if there is no such route. The cache holds all routes, so no live read is needed.
func (s *observation) findRoute(ctx context.Context, object Object) (*unstructured.Unstructured, error) {
	found := New(object.Kind)
	err := s.Cache.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: object.Name}, found, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsNotFound(err):
		return nil, s.checkFresh(ctx, object, nil)
	case err != nil:
		return nil, err
	}
	return found, s.checkFresh(ctx, object, found)
}

func (s *observation) observedRoute(ctx context.Context, found *unstructured.Unstructured) plan.Route {
	var headerRoutes []v1alpha1.SetHeaderRoute
	if s.hasMemory() {
		headerRoutes = s.Status.Memory.StepTargets.HeaderRoutes
	}
	if s.needsOptionalFields() {
		s.missing[found.GetKind()] = s.Schemas.Missing(ctx, found.GroupVersionKind())
	}
	reading, pair := s.read(found, headerRoutes)
	s.Pairs[Object{found.GroupVersionKind(), found.GetName()}] = pair
	acceptance := route.Accepted(found, func(gateway types.NamespacedName) string { return s.Features.of(ctx, gateway).controller })
	s.usePorts(found, pair)
	observed := plan.Route{
		Kind: found.GetKind(), Name: found.GetName(), Found: true,
		Generation: reading.Generation, Weight: reading.Weight, Mirror: reading.Mirror, Total: reading.Total,
		Weights: route.Weights(found, pair), FieldManager: fieldManagerOf(found),
		Headers: reading.Headers, OtherUses: reading.OtherUses,
		AcceptedGeneration: acceptance.Generation, RefusedGeneration: acceptance.Refused, Unversioned: acceptance.Unversioned, Pending: acceptance.Pending,
		Ignored: acceptance.Ignored, Orphaned: acceptance.Orphaned,
	}
	if problem := reading.Problem; problem != nil && !s.isIrrelevant(problem) {
		observed.Problem = &problem.Problem
	}
	observed.Unsupported = s.unsupported(ctx, found, reading)
	return observed
}

// needsOptionalFields reports whether header rules or mirrors are written, or may have been.
func (s *observation) needsOptionalFields() bool {
	return slices.ContainsFunc(s.Spec.Steps, func(step v1alpha1.Step) bool {
		return step.SetHeaderRoute != nil || step.SetMirrorRoute != nil
	}) || s.hasMemory() && (len(s.Status.Memory.StepTargets.HeaderRoutes) > 0 || s.Status.Memory.Traffic.MirrorPercent > 0)
}

// usePorts records the ports of the Services that a route sends requests to.
func (s *observation) usePorts(of *unstructured.Unstructured, pair route.Pair) {
	stable, canary := route.Ports(of, pair)
	s.ports[pair.Stable] = append(s.ports[pair.Stable], stable...)
	s.ports[pair.Canary] = append(s.ports[pair.Canary], canary...)
}

// isIrrelevant reports whether a problem is only about header routes while none are in force. The weights can be
// written, so it must not block an abort, which takes the header routes out of force first.
func (s *observation) isIrrelevant(problem *route.Problem) bool {
	return problem.HeadersOnly && (!s.hasMemory() || !s.Status.Memory.Traffic.HeaderRoutesActive)
}
