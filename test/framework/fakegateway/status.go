// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Controller names in statuses.
const (
	Controller       gatewayv1.GatewayController = "test.canaryrollout.dev/gateway"
	SecondController gatewayv1.GatewayController = "test.canaryrollout.dev/second"
)

// former is a Gateway that no route names.
const former = "former"

// A report is what is reported about a route at a moment.
type report struct {
	identity
	behaviour Behaviour
	// began is when the behaviour was set.
	began, now time.Time
	known      *backends
}

// parents returns the desired entries of status.parents: those of others, followed by our own.
func (r report) parents(route, processed *gatewayv1.HTTPRoute) []gatewayv1.RouteParentStatus {
	had := route.Status.Parents
	want := slices.DeleteFunc(slices.Clone(had), func(entry gatewayv1.RouteParentStatus) bool { return r.isOurs(entry, route.Namespace) })
	for _, ref := range processed.Spec.ParentRefs {
		if !r.owns(ref, route.Namespace) {
			continue
		}
		want = append(want, r.entry(had, Controller, ref, processed))
		if r.behaviour.Second != SecondAbsent {
			want = append(want, r.entry(had, SecondController, ref, processed))
		}
	}
	if len(want) > 0 && r.behaviour.Leftovers {
		want = append(want, r.leftover(had))
	}
	return slices.DeleteFunc(want, func(entry gatewayv1.RouteParentStatus) bool { return len(entry.Conditions) == 0 })
}

// isOurs reports whether this gateway manages an entry of a route in the namespace.
func (r report) isOurs(entry gatewayv1.RouteParentStatus, namespace string) bool {
	return (entry.ControllerName == Controller || entry.ControllerName == SecondController) &&
		(r.owns(entry.ParentRef, namespace) || entry.ParentRef.Name == former)
}

// entry returns what a controller reports about the route for one parent. It has no conditions if there is nothing to
// report.
func (r report) entry(had []gatewayv1.RouteParentStatus, controller gatewayv1.GatewayController, ref gatewayv1.ParentReference,
	processed *gatewayv1.HTTPRoute,
) (made gatewayv1.RouteParentStatus) {
	made = gatewayv1.RouteParentStatus{ParentRef: ref, ControllerName: controller}
	generation := processed.Generation
	if r.behaviour.Behind {
		generation--
	}
	if generation < 1 {
		return made
	}
	if r.behaviour.Generations != GenerationsWritten {
		generation = 0
	}
	before := conditionsIn(had, controller, ref)
	for _, condition := range r.conditions(controller, ref, processed) {
		condition.ObservedGeneration = generation
		condition.LastTransitionTime = r.since(before, condition)
		made.Conditions = append(made.Conditions, condition)
	}
	return made
}

// conditions returns Accepted, ResolvedRefs and, if it applies, PartiallyInvalid.
func (r report) conditions(controller gatewayv1.GatewayController, ref gatewayv1.ParentReference, processed *gatewayv1.HTTPRoute,
) []metav1.Condition {
	all := []metav1.Condition{r.accepted(controller, ref, processed), r.resolved(processed)}
	if refusal, refused := r.behaviour.Refusals[string(ref.Name)]; refused && controller == Controller {
		refused := say(refusal.Condition, false, refusal.Reason, refusal.Message)
		meta.RemoveStatusCondition(&all, refused.Type)
		all = append(all, refused)
	}
	if r.behaviour.PartiallyInvalid {
		all = append(all, say(gatewayv1.RouteConditionPartiallyInvalid, true, gatewayv1.RouteReasonUnsupportedValue, "a rule was dropped"))
	}
	return all
}

func (r report) accepted(controller gatewayv1.GatewayController, ref gatewayv1.ParentReference, processed *gatewayv1.HTTPRoute,
) metav1.Condition {
	no := func(reason gatewayv1.RouteConditionReason, message string) metav1.Condition {
		return say(gatewayv1.RouteConditionAccepted, false, reason, message)
	}
	err := refusalOf(processed)
	switch {
	case controller == SecondController && r.behaviour.Second == SecondRefuses:
		return no(gatewayv1.RouteReasonNotAllowedByListeners, "the second controller does not like it")
	case !r.hasListener(ref):
		return no(gatewayv1.RouteReasonNoMatchingParent, "there is no such listener")
	case err != nil:
		return no(gatewayv1.RouteReasonUnsupportedValue, err.Error())
	case r.behaviour.NoMirrors && mirrors(processed):
		return no(gatewayv1.RouteReasonUnsupportedValue, "requests cannot be copied here")
	case r.isDown():
		return no(gatewayv1.RouteReasonPending, "the proxies are out of reach")
	default:
		return say(gatewayv1.RouteConditionAccepted, true, gatewayv1.RouteReasonAccepted, "")
	}
}

// mirrors reports whether a rule mirrors requests.
func mirrors(processed *gatewayv1.HTTPRoute) bool {
	return slices.ContainsFunc(processed.Spec.Rules, func(rule gatewayv1.HTTPRouteRule) bool {
		return slices.ContainsFunc(rule.Filters, func(filter gatewayv1.HTTPRouteFilter) bool { return filter.RequestMirror != nil })
	})
}

// isDown reports whether a flapping gateway is currently down.
func (r report) isDown() bool {
	return r.behaviour.Flap > 0 && r.now.Sub(r.began)/r.behaviour.Flap%2 == 0
}

// nextFlap returns when isDown changes.
func (r report) nextFlap() time.Time {
	if r.behaviour.Flap == 0 {
		return time.Time{}
	}
	return r.now.Add(r.behaviour.Flap - r.now.Sub(r.began)%r.behaviour.Flap)
}

// resolved returns ResolvedRefs. If it is False, it names the first backendRef that cannot be resolved.
func (r report) resolved(processed *gatewayv1.HTTPRoute) metav1.Condition {
	for i := range processed.Spec.Rules {
		for _, ref := range referencesOf(&processed.Spec.Rules[i]) {
			if _, problem := r.known.resolve(ref, processed.Namespace); problem != nil {
				return say(gatewayv1.RouteConditionResolvedRefs, false, problem.reason, problem.message)
			}
		}
	}
	return say(gatewayv1.RouteConditionResolvedRefs, true, gatewayv1.RouteReasonResolvedRefs, "")
}

// referencesOf returns all references of a rule: those of its backends and of its mirrors.
func referencesOf(rule *gatewayv1.HTTPRouteRule) (refs []gatewayv1.BackendObjectReference) {
	for _, ref := range rule.BackendRefs {
		refs = append(refs, ref.BackendObjectReference)
	}
	for _, filter := range rule.Filters {
		if filter.RequestMirror != nil {
			refs = append(refs, filter.RequestMirror.BackendRef)
		}
	}
	return refs
}

// leftover returns an entry that refused generation 1 and was never removed.
func (r report) leftover(had []gatewayv1.RouteParentStatus) gatewayv1.RouteParentStatus {
	ref := gatewayv1.ParentReference{ // with the fields that the API server would default
		Group: ptr.To(gatewayv1.Group(gatewayv1.GroupName)), Kind: ptr.To(gatewayv1.Kind("Gateway")),
		Namespace: ptr.To(gatewayv1.Namespace(r.namespace)), Name: former,
	}
	refused := say(gatewayv1.RouteConditionAccepted, false, gatewayv1.RouteReasonNotAllowedByListeners, "this namespace is not allowed")
	refused.ObservedGeneration = 1
	refused.LastTransitionTime = r.since(conditionsIn(had, Controller, ref), refused)
	return gatewayv1.RouteParentStatus{ParentRef: ref, ControllerName: Controller, Conditions: []metav1.Condition{refused}}
}

func say(kind gatewayv1.RouteConditionType, is bool, reason gatewayv1.RouteConditionReason, message string) metav1.Condition {
	c := metav1.Condition{Type: string(kind), Status: metav1.ConditionFalse, Reason: string(reason), Message: message}
	if is {
		c.Status = metav1.ConditionTrue
	}
	return c
}

// since returns when a condition last changed its status.
func (r report) since(before []metav1.Condition, now metav1.Condition) metav1.Time {
	if had := meta.FindStatusCondition(before, now.Type); had != nil && had.Status == now.Status {
		return had.LastTransitionTime
	}
	return metav1.NewTime(r.now.Truncate(time.Second))
}

func conditionsIn(had []gatewayv1.RouteParentStatus, controller gatewayv1.GatewayController, ref gatewayv1.ParentReference,
) []metav1.Condition {
	for _, entry := range had {
		if entry.ControllerName == controller && equality.Semantic.DeepEqual(entry.ParentRef, ref) {
			return entry.Conditions
		}
	}
	return nil
}
