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

// answer is what one controller reports for one parent.
type answer struct {
	// who names the parent, and the controller if several answer for it.
	who string
	// controller is the name of the controller that answers.
	controller string
	// standing ranks the answers for one parent by how much they say.
	standing standing
	// complaint says what is missing or wrong. It is appended to who.
	complaint string
	// generation is the oldest generation that its conditions are about, of those that name one.
	generation int64
	// refused is the generation that the complaint is about, if the complaint is about the route itself.
	refused int64
	// unversioned reports whether a condition does not say which generation it is about.
	unversioned bool
}

// standing is how much an answer says about a route.
type standing int

const (
	// silent answers have none of the conditions that T4 is about: policy controllers write only their own conditions.
	silent standing = iota
	// complaining answers do not accept the route as it is.
	complaining
	// accepting answers accept it.
	accepting
)

// answersFor returns the answers that count for a parent, and those that do not. If nobody answered, that is a
// complaint.
func (r *parents) answersFor(wanted parent, namespace string, controllerOf ControllerOf) (counted, ignored []answer) {
	var answers []answer
	for _, entry := range r.Status.Parents {
		if parentOf(entry.ParentRef, namespace) != wanted {
			continue
		}
		a := answerOf(entry.Conditions)
		a.who, a.controller = wanted.label(namespace), string(entry.ControllerName)
		answers = append(answers, a)
	}
	switch len(answers) {
	case 0:
		return []answer{{who: wanted.label(namespace), complaint: " has not answered"}}, nil
	case 1:
		return answers, nil
	}
	for i := range answers {
		answers[i].who += fmt.Sprintf(" (%s)", answers[i].controller)
	}
	return counting(answers, wanted, controllerOf)
}

// counting separates the answers that count (T4): those of the controller of the Gateway's class. If it is not known
// or has not answered, the answers that say the most count. Entries of former controllers stay forever
// (envoyproxy/gateway#6898), policy controllers add their own, and Traefik answers for Gateways that are not its own.
func counting(answers []answer, of parent, controllerOf ControllerOf) (counted, ignored []answer) {
	own := ""
	if of.isGateway() && controllerOf != nil {
		own = controllerOf(of.key())
	}
	counts := func(a answer) bool { return a.controller == own }
	if !slices.ContainsFunc(answers, counts) {
		best := slices.MaxFunc(answers, answer.compare)
		counts = func(a answer) bool { return a.compare(best) == 0 }
	}
	for _, a := range answers {
		if counts(a) {
			counted = append(counted, a)
		} else {
			ignored = append(ignored, a)
		}
	}
	return counted, ignored
}

// compare orders two answers for one parent by how much they say.
func (a answer) compare(other answer) int {
	return cmp.Or(cmp.Compare(a.standing, other.standing), cmp.Compare(a.generation, other.generation))
}

// controllers names the controllers of the answers, each with its parent.
func controllers(answers []answer) string {
	var names []string
	for _, a := range answers {
		names = append(names, quote(a.who))
	}
	return strings.Join(names, ", ")
}

// answerOf reads the conditions of one entry. A failing condition counts regardless of the generation that it is
// about: an old complaint does not prove that the new generation is fine.
func answerOf(conditions []metav1.Condition) answer {
	a := answer{standing: accepting}
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

// missing returns the answer of an entry that lacks a condition.
func missing(conditions []metav1.Condition, name gatewayv1.RouteConditionType) answer {
	a := answer{standing: complaining, complaint: fmt.Sprintf(" has not answered: there is no condition %s", name)}
	if meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionAccepted)) == nil &&
		meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionResolvedRefs)) == nil {
		a.standing = silent
	}
	return a
}

// elsewhere are the reasons of complaints that a change of the route's rules or filters would not resolve.
var elsewhere = sets.New(
	string(gatewayv1.RouteReasonNotAllowedByListeners), string(gatewayv1.RouteReasonNoMatchingListenerHostname),
	string(gatewayv1.RouteReasonNoMatchingParent), string(gatewayv1.RouteReasonPending),
	string(gatewayv1.RouteReasonBackendNotFound), string(gatewayv1.RouteReasonRefNotPermitted),
)

// refusal returns the answer of an entry with a failing condition.
func refusal(c metav1.Condition) answer {
	a := answer{standing: complaining, complaint: complaintOf(c)}
	if !elsewhere.Has(c.Reason) {
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
func (a answer) pending(newest int64) string {
	switch {
	case a.complaint != "":
		return a.who + a.complaint
	case a.generation > 0 && a.generation < newest:
		return fmt.Sprintf("%s has taken generation %d, not yet %d", a.who, a.generation, newest)
	case a.unversioned:
		return a.who + " accepts the route, but does not say which generation of it"
	default:
		return ""
	}
}
