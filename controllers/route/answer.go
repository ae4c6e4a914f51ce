// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// maxQuote is how much of an implementation's own message is passed on, in runes: a message of ours is part of
// a status, which has limits.
const maxQuote = 200

// answer is what one controller says for one parent.
type answer struct {
	// who is the parent in words, with the controller where several answer for it.
	who string
	// complaint says what is missing or not as it should be; it goes on from who.
	complaint string
	// generation is the oldest that its conditions are about, of those that say so.
	generation int64
	// unversioned says that a condition does not say which generation it is about.
	unversioned bool
	// isOthers says that the controller does not take the parent for one of its own.
	isOthers bool
}

// answersFor returns what was answered for a parent; where nobody did, that is a complaint.
func answersFor(wanted parent, entries []gatewayv1.RouteParentStatus, namespace string) []answer {
	var matching []gatewayv1.RouteParentStatus
	for _, entry := range entries {
		if parentOf(entry.ParentRef, namespace) == wanted {
			matching = append(matching, entry)
		}
	}
	who := wanted.label(namespace)
	if len(matching) == 0 {
		return []answer{{who: who, complaint: " has not answered"}}
	}
	answers := make([]answer, 0, len(matching))
	for _, entry := range matching {
		a := answerOf(entry.Conditions)
		a.who = who
		if len(matching) > 1 {
			a.who = fmt.Sprintf("%s (%s)", who, entry.ControllerName)
		}
		answers = append(answers, a)
	}
	return withoutOthers(answers)
}

// withoutOthers leaves out who says that the parent is not his, where somebody else accepts the route for it: Traefik says
// so of every Gateway that is not its own, and nothing takes the word of a former controller back
// (envoyproxy/gateway#6898).
func withoutOthers(answers []answer) []answer {
	accepts := func(a answer) bool { return a.complaint == "" }
	if !slices.ContainsFunc(answers, accepts) {
		return answers
	}
	return slices.DeleteFunc(answers, func(a answer) bool { return a.isOthers })
}

// answerOf reads the conditions of one entry. A condition that is not as it should be counts whatever generation it
// is about: an old complaint is no proof that the new generation is fine.
func answerOf(conditions []metav1.Condition) answer {
	var a answer
	for _, name := range []gatewayv1.RouteConditionType{gatewayv1.RouteConditionAccepted, gatewayv1.RouteConditionResolvedRefs} {
		condition := meta.FindStatusCondition(conditions, string(name))
		switch {
		case condition == nil:
			return answer{complaint: fmt.Sprintf(" has not answered: there is no condition %s", name)}
		case condition.Status != metav1.ConditionTrue:
			isOthers := condition.Reason == string(gatewayv1.RouteReasonNoMatchingParent)
			return answer{complaint: complaintOf(*condition), isOthers: isOthers}
		case condition.ObservedGeneration <= 0:
			a.unversioned = true
		case a.generation == 0 || condition.ObservedGeneration < a.generation:
			a.generation = condition.ObservedGeneration
		}
	}
	partial := meta.FindStatusCondition(conditions, string(gatewayv1.RouteConditionPartiallyInvalid))
	if partial != nil && partial.Status == metav1.ConditionTrue {
		return answer{complaint: complaintOf(*partial)}
	}
	return a
}

func complaintOf(c metav1.Condition) string {
	about := ""
	if c.ObservedGeneration > 0 {
		about = fmt.Sprintf(" for generation %d", c.ObservedGeneration)
	}
	return fmt.Sprintf(": %s is %s%s (%s: %s)", c.Type, c.Status, about, c.Reason, quote(c.Message))
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
