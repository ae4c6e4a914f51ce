// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// The resources that GitOps tools write to.
const (
	Routes   = "httproutes"
	Services = "services"
)

// Write is a write that the run made as a GitOps tool.
type Write struct {
	// Span is from before the request until after the response.
	Span
	// Resource and Name are as in the audit log.
	Resource, Name string
}

// Foreign is the period in which such a write was in force.
type Foreign struct {
	// Span ends when the operator has reverted the write, and endpoints could follow; never if it has not.
	Span
	Resource string
	// Took is how long the operator took to revert it; zero if it did not.
	Took time.Duration
}

// sure is the time after a write from which a verification is certain to refer to the route as written, and not to
// the one that the operator saw last.
const sure = time.Second

// InForce reads from the audit log how long each write stayed in force. An operator's patch is guarded by what it
// expects to find, so the first one to succeed after a write was made with knowledge of it. A route that already
// carried the target needs no patch: it is verified again. In the spans of late, endpoints were not updated.
func InForce(writes []Write, events []auditv1.Event, moments []harness.Moment, late []Span) (all []Foreign) {
	for _, write := range writes {
		foreign := Foreign{Span: Span{write.From, forever}, Resource: write.Resource}
		at := write.storedAt(events)
		if repaired := write.repairedAt(events, at); !repaired.IsZero() {
			foreign.To, foreign.Took = repaired, repaired.Sub(at)
		}
		if verified := verifiedAfter(moments, at.Add(sure)); write.Resource == Routes && !verified.IsZero() && verified.Before(foreign.To) {
			foreign.To, foreign.Took = verified, 0
		}
		foreign.To = caughtUp(foreign.To, late)
		all = append(all, foreign)
	}
	return all
}

// storedAt returns when the API server had answered the write.
func (w Write) storedAt(events []auditv1.Event) time.Time {
	at := w.To
	for _, event := range events {
		received := event.RequestReceivedTimestamp.Time
		if harness.IsWrite(event, "admin", w.Resource) && event.ObjectRef.Name == w.Name && received.Before(w.To) &&
			received.After(w.From.Add(-time.Millisecond)) {
			at = event.StageTimestamp.Time
		}
	}
	return at
}

// repairedAt returns when the operator next wrote the object; zero for never.
func (w Write) repairedAt(events []auditv1.Event, after time.Time) time.Time {
	for _, event := range events {
		if harness.IsWrite(event, cluster.OperatorUsername, w.Resource) && event.ObjectRef.Name == w.Name && event.StageTimestamp.After(after) {
			return event.StageTimestamp.Time
		}
	}
	return time.Time{}
}

// verifiedAfter returns when a verification later than the given time was published; zero for never.
func verifiedAfter(moments []harness.Moment, after time.Time) time.Time {
	for _, moment := range moments {
		if m := moment.Status.Memory; m != nil && m.Traffic.VerifiedAt != nil && m.Traffic.VerifiedAt.After(after) {
			return moment.At
		}
	}
	return time.Time{}
}

// caughtUp returns when endpoints have followed a write: at once, unless they were late at that time. The spans are
// in order of time.
func caughtUp(at time.Time, late []Span) time.Time {
	for _, span := range late {
		if at.After(span.From.Add(-time.Second)) && at.Before(span.To) {
			at = span.To
		}
	}
	return at
}
