// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
)

// The resources that GitOps tools write into.
const (
	Routes   = "httproutes"
	Services = "services"
)

// Write is one that a run made in the place of a GitOps tool.
type Write struct {
	// Span is from before the request until after its answer.
	Span
	// Resource and Name are as the audit log has them.
	Resource, Name string
}

// Foreign is what was in force by such a write.
type Foreign struct {
	// Span ends when the operator has put it right, and endpoints have had the chance to follow; never if it has not.
	Span
	Resource string
	// Took is how long the operator took for that; zero if it did not.
	Took time.Duration
}

// sure is what makes a proof one of the route as it is after a write, and not of the one that the operator last saw.
const sure = time.Second

// PutRight finds in the audit log how long what was written stayed in force. An operator's patch is guarded by what it
// expects to find, so the first one to succeed after a write was made in the knowledge of it. A route that happened to
// carry the target needs none: it is proven afresh. In the spans of late, endpoints stood still.
func PutRight(writes []Write, events []auditv1.Event, moments []app.Moment, late []Span) (all []Foreign) {
	for _, write := range writes {
		foreign := Foreign{Span: Span{write.From, forever}, Resource: write.Resource}
		at := write.storedAt(events)
		if repaired := write.repairedAt(events, at); !repaired.IsZero() {
			foreign.To, foreign.Took = repaired, repaired.Sub(at)
		}
		if proven := provenAfter(moments, at.Add(sure)); write.Resource == Routes && !proven.IsZero() && proven.Before(foreign.To) {
			foreign.To, foreign.Took = proven, 0
		}
		foreign.To = caughtUp(foreign.To, late)
		all = append(all, foreign)
	}
	return all
}

// storedAt is when the API server had answered the write.
func (w Write) storedAt(events []auditv1.Event) time.Time {
	at := w.To
	for _, event := range events {
		received := event.RequestReceivedTimestamp.Time
		if app.IsWrite(event, "admin", w.Resource) && event.ObjectRef.Name == w.Name && received.Before(w.To) &&
			received.After(w.From.Add(-time.Millisecond)) {
			at = event.StageTimestamp.Time
		}
	}
	return at
}

// repairedAt is when the operator has next written the object; zero for never.
func (w Write) repairedAt(events []auditv1.Event, after time.Time) time.Time {
	for _, event := range events {
		if app.IsWrite(event, cluster.OperatorUsername, w.Resource) && event.ObjectRef.Name == w.Name && event.StageTimestamp.After(after) {
			return event.StageTimestamp.Time
		}
	}
	return time.Time{}
}

// provenAfter is when a proof was published that is younger than a moment; zero for never.
func provenAfter(moments []app.Moment, after time.Time) time.Time {
	for _, moment := range moments {
		if m := moment.Status.Memory; m != nil && m.Traffic.VerifiedAt != nil && m.Traffic.VerifiedAt.After(after) {
			return moment.At
		}
	}
	return time.Time{}
}

// caughtUp is when endpoints have followed what was written at a moment: at once, unless they stood still then. The spans
// are by their times.
func caughtUp(at time.Time, late []Span) time.Time {
	for _, span := range late {
		if at.After(span.From.Add(-time.Second)) && at.Before(span.To) {
			at = span.To
		}
	}
	return at
}
