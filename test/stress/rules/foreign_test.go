// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

var errLost = errors.New("lost")

func insert(results []load.Result, result load.Result) []load.Result {
	i, _ := slices.BinarySearchFunc(results, result.Start, func(r load.Result, t time.Time) int { return r.Start.Compare(t) })
	return slices.Insert(results, i, result)
}

// audit returns a write that was received at a second, and answered 10 ms later.
func audit(s float64, user, resource, name string) auditv1.Event {
	return auditv1.Event{
		Verb: "patch", User: authenticationv1.UserInfo{Username: user},
		ObjectRef:                &auditv1.ObjectReference{Resource: resource, Name: name},
		RequestReceivedTimestamp: metav1.MicroTime{Time: second(s)}, StageTimestamp: metav1.MicroTime{Time: second(s + 0.01)},
	}
}

// TestInForce: a write is in force until the operator next writes the same object, or verifies that the write was
// right.
func TestInForce(t *testing.T) {
	const operator = cluster.OperatorUsername
	route := Write{Span{second(10), second(10.1)}, Routes, "reviews"}
	service := Write{Span{second(10), second(10.1)}, Services, "stable"}
	verified := func(at, verified float64) harness.Moment {
		m := moment(at)
		m.Status.Memory.Traffic.VerifiedAt.Time = second(verified)
		return m
	}
	for name, tc := range map[string]struct {
		write   Write
		events  []auditv1.Event
		moments []harness.Moment
		late    []Span
		// to is the end of the span, and took how long the operator took, in seconds.
		to, took float64
	}{
		"repaired": {
			write:   route,
			moments: []harness.Moment{verified(14, 13.9)},
			events:  []auditv1.Event{audit(10.02, "admin", Routes, "reviews"), audit(10.09, operator, Routes, "reviews")},
			to:      10.1, took: 0.07,
		},
		"the operator wrote before": {
			write: route,
			events: []auditv1.Event{
				audit(10.01, operator, Routes, "reviews"),
				audit(10.05, "admin", Routes, "reviews"),
				audit(12, operator, Routes, "reviews"),
			},
			to: 12.01, took: 1.95,
		},
		"another route": {
			write: route,
			events: []auditv1.Event{
				audit(10.02, "admin", Routes, "reviews"),
				audit(11, operator, Routes, "others"),
				audit(13, operator, Routes, "reviews"),
			},
			to: 13.01, took: 2.98,
		},
		"right by chance": {
			write:   route,
			moments: []harness.Moment{verified(9, 9), verified(10.5, 10.4), verified(14, 13.9)},
			events:  []auditv1.Event{audit(20, operator, Routes, "reviews")},
			to:      14,
		},
		"a Service": {
			write: service,
			events: []auditv1.Event{
				audit(10.02, "admin", Services, "stable"),
				audit(10.05, operator, Services, "canary"),
				audit(11, operator, Services, "stable"),
			},
			to: 11.01, took: 0.98,
		},
		"a verification does not cover Services": {
			write:   service,
			moments: []harness.Moment{verified(14, 13.9)},
			events:  []auditv1.Event{audit(20, operator, Services, "stable")},
			to:      20.01, took: 9.91},
		"endpoints are late": {
			write:  service,
			events: []auditv1.Event{audit(11, operator, Services, "stable")},
			late:   []Span{{second(2), second(4)}, {second(10.5), second(15)}, {second(15.5), second(18)}},
			to:     18, took: 0.91,
		},
		"never":               {write: service, to: -1},
		"only the user again": {write: service, events: []auditv1.Event{audit(12, "admin", Services, "stable")}, to: -1},
	} {
		t.Run(name, func(t *testing.T) {
			got := InForce([]Write{tc.write}, tc.events, tc.moments, tc.late)[0]
			want := second(tc.to)
			if tc.to < 0 {
				want = forever
			}
			if !got.From.Equal(tc.write.From) || got.To.Sub(want).Abs() > time.Millisecond || got.Resource != tc.write.Resource {
				t.Errorf("%s from %s to %s, want to %s", got.Resource, got.From, got.To, want)
			}
			if took := got.Took.Seconds(); took < tc.took-0.001 || took > tc.took+0.001 {
				t.Errorf("took %.3f s, want %.3f s", took, tc.took)
			}
		})
	}
}
