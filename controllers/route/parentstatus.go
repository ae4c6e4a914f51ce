// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// maxQuote is how much of an implementation's message is quoted, in runes: our messages are part of a status, which
// has limits.
const maxQuote = 200

// parentStatus is what one controller reports for one parent.
type parentStatus struct {
	// label names the parent, and the controller if several report for it.
	label string
	// controller is the name of the controller that reports.
	controller string
	// verdict is what the controller says about the route.
	verdict verdict
	// complaint says what is missing or wrong. It is appended to label.
	complaint string
	// generation is the oldest observedGeneration of its conditions, of those that have one.
	generation int64
	// refused is the generation that the complaint is about, if the complaint is about the route itself.
	refused int64
	// unversioned reports whether a condition does not say which generation it is about.
	unversioned bool
}

// verdict is what a controller says about a route. If several report for one parent, a higher verdict says more.
type verdict int

const (
	// noVerdict has none of the conditions that T4 is about: policy controllers write only their own conditions.
	noVerdict verdict = iota
	// rejected does not accept the route as it is.
	rejected
	// accepted accepts the route.
	accepted
)

// statusesFor returns the statuses that count for a parent, and those that do not. If there is none, that is a complaint.
func (r *parents) statusesFor(required parent, namespace string, controllerOf ControllerOf) (counted, ignored []parentStatus) {
	var statuses []parentStatus
	for _, entry := range r.Status.Parents {
		if parentOf(entry.ParentRef, namespace) != required {
			continue
		}
		a := parentStatusOf(entry.Conditions)
		a.label, a.controller = required.label(namespace), string(entry.ControllerName)
		statuses = append(statuses, a)
	}
	switch len(statuses) {
	case 0:
		return []parentStatus{{label: required.label(namespace), complaint: " has not reported a status"}}, nil
	case 1:
		return statuses, nil
	}
	for i := range statuses {
		statuses[i].label += fmt.Sprintf(" (%s)", statuses[i].controller)
	}
	return counting(statuses, required, controllerOf)
}

// counting separates the statuses that count (T4): those of the controller of the Gateway's class. If it is unknown or
// has not reported, the statuses that say the most count. Entries of former controllers stay forever
// (envoyproxy/gateway#6898), policy controllers add their own, and Traefik reports for Gateways that are not its own.
func counting(statuses []parentStatus, of parent, controllerOf ControllerOf) (counted, ignored []parentStatus) {
	own := ""
	if of.isGateway() && controllerOf != nil {
		own = controllerOf(of.key())
	}
	counts := func(a parentStatus) bool { return a.controller == own }
	if !slices.ContainsFunc(statuses, counts) {
		best := slices.MaxFunc(statuses, parentStatus.compare)
		counts = func(a parentStatus) bool { return a.compare(best) == 0 }
	}
	for _, a := range statuses {
		if counts(a) {
			counted = append(counted, a)
		} else {
			ignored = append(ignored, a)
		}
	}
	return counted, ignored
}

// compare orders two statuses for one parent by how much they say.
func (a parentStatus) compare(other parentStatus) int {
	return cmp.Or(cmp.Compare(a.verdict, other.verdict), cmp.Compare(a.generation, other.generation))
}

// controllers names the controllers of the statuses, each with its parent.
func controllers(statuses []parentStatus) string {
	var names []string
	for _, a := range statuses {
		names = append(names, quote(a.label))
	}
	return strings.Join(names, ", ")
}

// parentStatusOf reads the conditions of one entry. A failing condition counts regardless of the generation that it is
// about: an old complaint does not prove that the new generation is fine.
func parentStatusOf(conditions []metav1.Condition) parentStatus {
	a := parentStatus{verdict: accepted}
	for _, name := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		condition := meta.FindStatusCondition(conditions, string(name))
		switch {
		case condition == nil:
			return missing(conditions, name)
		case condition.Status != metav1.ConditionTrue:
			return refusal(*condition)
		case condition.ObservedGeneration <= 0:
			a.unversioned = true
		case a.generation == 0 || condition.ObservedGeneration < a.generation:
			a.generation = condition.ObservedGeneration
		}
	}
	partial := meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionPartiallyInvalid))
	if partial != nil && partial.Status == metav1.ConditionTrue {
		return refusal(*partial)
	}
	return a
}

// missing returns the status of an entry that lacks a condition.
func missing(conditions []metav1.Condition, name gatewayv1.RouteConditionType) parentStatus {
	a := parentStatus{verdict: rejected, complaint: fmt.Sprintf(" has not reported the condition %s", name)}
	if meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionAccepted)) == nil &&
		meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionResolvedRefs)) == nil {
		a.verdict = noVerdict
	}
	return a
}

// unrelatedReasons are the reasons of complaints that a change of the route's rules or filters would not resolve.
var unrelatedReasons = sets.New(
	string(gatewayv1.RouteReasonNotAllowedByListeners), string(gatewayv1.RouteReasonNoMatchingListenerHostname),
	string(gatewayv1.RouteReasonNoMatchingParent), string(gatewayv1.RouteReasonPending),
	string(gatewayv1.RouteReasonBackendNotFound), string(gatewayv1.RouteReasonRefNotPermitted),
)

// refusal returns the status of an entry with a failing condition.
func refusal(c metav1.Condition) parentStatus {
	a := parentStatus{verdict: rejected, complaint: complaintOf(c)}
	if !unrelatedReasons.Has(c.Reason) {
		a.refused = c.ObservedGeneration
	}
	return a
}

func complaintOf(c metav1.Condition) string {
	about := ""
	if c.ObservedGeneration > 0 {
		about = fmt.Sprintf(" for generation %d", c.ObservedGeneration)
	}
	why := c.Reason
	if c.Message != "" {
		why += ": " + quote(c.Message)
	}
	return fmt.Sprintf(": %s is %s%s (%s)", c.Type, c.Status, about, why)
}

func quote(message string) string {
	if runes := []rune(message); len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "..."
	}
	return message
}

// pending says what is missing until the newest generation is accepted.
func (a parentStatus) pending(newest int64) string {
	switch {
	case a.complaint != "":
		return a.label + a.complaint
	case a.generation > 0 && a.generation < newest:
		return fmt.Sprintf("%s has accepted generation %d, not yet %d", a.label, a.generation, newest)
	case a.unversioned:
		return a.label + " accepts the route, but does not report which generation"
	default:
		return ""
	}
}
