// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const lag = 1400 * time.Millisecond

// second returns a time in a fictitious run.
func second(s float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second)))
}

// edit changes a memory.
type edit func(*v1alpha1.Memory)

// moment returns a status at a second: by default at rest on revision a, with everything verified at that time.
func moment(s float64, edits ...edit) harness.Moment {
	m := &v1alpha1.Memory{StableRevision: "a", CurrentRevision: "a"}
	m.StableService.Revision, m.CanaryService.Revision = "a", "a"
	verified := &metav1.MicroTime{Time: second(s)}
	m.StableService.ReadyAt, m.CanaryService.ReadyAt, m.Traffic.VerifiedAt = verified, verified, verified
	for _, edit := range edits {
		edit(m)
	}
	return harness.Moment{At: second(s), Status: v1alpha1.CanaryRolloutStatus{Memory: m}}
}

func canaryAt(revision string) edit {
	return func(m *v1alpha1.Memory) { m.CanaryService.Revision = revision }
}
func stableAt(revision string) edit {
	return func(m *v1alpha1.Memory) { m.StableService.Revision = revision }
}
func percent(share int32) edit {
	return func(m *v1alpha1.Memory) { m.Traffic.Weight = share }
}

func headers(m *v1alpha1.Memory)     { m.Traffic.HeaderRoutesActive = true }
func copying(m *v1alpha1.Memory)     { m.Traffic.MirrorPercent = 30 }
func unverified(m *v1alpha1.Memory)  { m.Traffic.VerifiedAt = nil }
func stableMoves(m *v1alpha1.Memory) { m.StableService.ReadyAt = nil }

func answer(s float64, stream, revision string) load.Result {
	return load.Result{Start: second(s), Duration: 5 * time.Millisecond, Stream: stream, Revision: revision, Status: 200}
}

// release has a canary b at 20 % from second 20, verified at 21, and aborted at 40, which is verified at 41.
func release() []harness.Moment {
	return []harness.Moment{
		moment(0),
		moment(10, canaryAt("b"), headers),
		moment(20, canaryAt("b"), headers, percent(20), unverified),
		moment(21, canaryAt("b"), headers, percent(20)),
		moment(40, canaryAt("b"), unverified),
		moment(41, canaryAt("b")),
		moment(45),
	}
}

// promotion has all traffic on canary b from second 10, the stable Service moved at 20 with its endpoints at 22, and
// all traffic back on it at 30.
func promotion() []harness.Moment {
	return []harness.Moment{
		moment(0, canaryAt("b"), percent(50)),
		moment(10, canaryAt("b"), percent(100), unverified),
		moment(11, canaryAt("b"), percent(100)),
		moment(20, canaryAt("b"), percent(100), stableAt("b"), stableMoves),
		moment(22, canaryAt("b"), percent(100), stableAt("b")),
		moment(30, canaryAt("b"), stableAt("b"), unverified),
		moment(31, canaryAt("b"), stableAt("b")),
	}
}

// TestStrays checks one answer at a time against the rules.
func TestStrays(t *testing.T) {
	stripped := []Foreign{{Span: Span{second(50), second(52)}, Resource: Services}}
	overwritten := []Foreign{{Span: Span{second(14), second(15)}, Resource: Routes}}
	for name, tc := range map[string]struct {
		moments    []harness.Moment
		foreign    []Foreign
		answer     load.Result
		stableOnly bool
		isStray    bool
	}{
		"stable at rest":                     {moments: release(), answer: answer(5, "", "a")},
		"unknown revision":                   {moments: release(), answer: answer(5, "", "x"), isStray: true},
		"canary at weight 0":                 {moments: release(), answer: answer(15, "", "b"), isStray: true},
		"tester at weight 0":                 {moments: release(), answer: answer(15, testers, "b")},
		"tester before":                      {moments: release(), answer: answer(8, testers, "b"), isStray: true},
		"the status is late":                 {moments: release(), answer: answer(9.5, testers, "b")},
		"written, not verified":              {moments: release(), answer: answer(20.1, "", "b")},
		"canary at 20 %":                     {moments: release(), answer: answer(30, "", "b")},
		"stable at 20 %":                     {moments: release(), answer: answer(30, "", "a")},
		"aborted, not verified":              {moments: release(), answer: answer(40.9, "", "b")},
		"aborted, on its way to proxies":     {moments: release(), answer: answer(42, "", "b")},
		"aborted and verified":               {moments: release(), answer: answer(42.5, "", "b"), isStray: true},
		"aborted and verified, for a tester": {moments: release(), answer: answer(42.5, testers, "b"), isStray: true},
		"selectors stripped":                 {moments: release(), foreign: stripped, answer: answer(51, "", "b")},
		"reverted, on its way":               {moments: release(), foreign: stripped, answer: answer(53, "", "b")},
		"reverted":                           {moments: release(), foreign: stripped, answer: answer(54, "", "b"), isStray: true},
		"canary by the stable-only rule":     {moments: release(), answer: answer(30, "", "b"), stableOnly: true, isStray: true},
		"stable by the stable-only rule":     {moments: release(), answer: answer(30, "", "a"), stableOnly: true},
		"stable at 100 %":                    {moments: promotion(), answer: answer(13, "", "a"), isStray: true},
		"stable at 100 %, overwritten":       {moments: promotion(), foreign: overwritten, answer: answer(14.5, "", "a")},
		"stable at 100 %, reverted":          {moments: promotion(), foreign: overwritten, answer: answer(17, "", "a"), isStray: true},
		"stable Service moves":               {moments: promotion(), answer: answer(21, "", "a"), stableOnly: true},
		"stable Service has moved":           {moments: promotion(), answer: answer(24, "", "a"), stableOnly: true, isStray: true},
		"stable Service is about to move":    {moments: promotion(), answer: answer(18, "", "b"), stableOnly: true, isStray: true},
		"new behind both Services":           {moments: promotion(), answer: answer(32, "", "b")},
		"former behind neither":              {moments: promotion(), answer: answer(32, "", "a"), isStray: true},
		"under way while all was different":  {moments: promotion(), answer: load.Result{Start: second(12), Duration: 5 * time.Second, Revision: "a"}},
		"no answer":                          {moments: release(), answer: load.Result{Start: second(5), Err: errors.New("reset")}},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := Evidence{Moments: tc.moments, Foreign: tc.foreign, Lag: lag, Until: second(60)}
			if tc.stableOnly {
				evidence.StableOnly = []load.Result{tc.answer}
			} else {
				evidence.Traffic = []load.Result{tc.answer}
			}
			if got := evidence.Strays(); len(got) > 0 != tc.isStray {
				t.Errorf("strays: %q", got)
			}
		})
	}
}

// TestStraysOfAMirror: only the revision in flight gets copies, and only while a mirror may be in force.
func TestStraysOfAMirror(t *testing.T) {
	moments := []harness.Moment{
		moment(0), moment(10, canaryAt("b"), copying, unverified), moment(11, canaryAt("b"), copying), moment(20, canaryAt("b"), unverified),
		moment(21, canaryAt("b")),
	}
	stripped := []Foreign{{Span: Span{second(50), second(52)}, Resource: Services}}
	for name, tc := range map[string]struct {
		answer  load.Result
		isStray bool
	}{
		"before":                   {answer: answer(5, "", "b"), isStray: true},
		"written, not verified":    {answer: answer(10.2, "", "b")},
		"in force":                 {answer: answer(15, "", "b")},
		"to stable":                {answer: answer(15, "", "a"), isStray: true},
		"over, not verified":       {answer: answer(20.5, "", "b")},
		"over, on its way":         {answer: answer(22, "", "b")},
		"over":                     {answer: answer(23, "", "b"), isStray: true},
		"over, selectors stripped": {answer: answer(51, "", "a")},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := Evidence{Moments: moments, Foreign: stripped, Copies: []load.Result{tc.answer}, Lag: lag, Until: second(60)}
			if got := evidence.Strays(); len(got) > 0 != tc.isStray {
				t.Errorf("strays: %q", got)
			}
		})
	}
}

// TestStraysInOrder: what may be in force is determined separately for each request, however many precede it.
func TestStraysInOrder(t *testing.T) {
	evidence := Evidence{Moments: release(), Lag: lag, Until: second(60)}
	for i := range 600 {
		evidence.Traffic = append(evidence.Traffic, answer(float64(i)/10, "", "b"))
	}
	// The canary may answer from one second before the status with 20 % arrived until the gateway has applied the
	// rollback.
	want := 600 - (424 - 190 + 1)
	if got := len(evidence.Strays()); got != want {
		t.Errorf("%d strays, want %d", got, want)
	}
}

// TestStraysAfterALongRequest: what came into force while an earlier request was in flight is no excuse for a later
// one that was answered before that.
func TestStraysAfterALongRequest(t *testing.T) {
	long, later := answer(11, testers, "b"), answer(15, "", "b")
	long.Duration = 20 * time.Second
	evidence := Evidence{Moments: release(), Traffic: []load.Result{long, later}, Lag: lag, Until: second(60)}
	if got := evidence.Strays(); len(got) != 1 {
		t.Errorf("strays: %q, want the later one", got)
	}
}
