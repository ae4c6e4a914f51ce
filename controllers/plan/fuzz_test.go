// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// source makes values of bytes, so that the fuzzer's mutations are small changes of an input. It never ends: after the
// last byte come zeros.
type source struct{ data []byte }

func (s *source) next() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *source) bool() bool           { return s.next()%2 == 1 }
func (s *source) upTo(most byte) int32 { return int32(s.next() % (most + 1)) }

func pick[T any](s *source, values ...T) T { return values[int(s.next())%len(values)] }

func (s *source) percent() int32   { return pick[int32](s, 0, 20, 50, 100, 33) }
func (s *source) revision() string { return pick(s, "b", "a", "c", "") }

// time is one at which something may be due, or just not yet.
func (s *source) time() *metav1.MicroTime {
	return ago(pick(s, 3600, 0, 1, 4, 5, 29, 30, 34, 35, 59, 60, 600, 601, -5))
}

func (s *source) maybeTime() *metav1.MicroTime { return pick(s, s.time(), nil) }

func (s *source) problem() *Problem {
	return pick(s, nil, nil, nil, &Problem{v1alpha1.ReasonRouteNotFound, "missing"}, &Problem{v1alpha1.ReasonServiceConflict, "older"})
}

func (s *source) steps() []v1alpha1.Step {
	return slices.Collect(func(yield func(v1alpha1.Step) bool) {
		for range s.upTo(4) {
			timeout := &v1alpha1.Pause{Timeout: &metav1.Duration{Duration: time.Minute}, OnTimeout: pick(s, v1alpha1.TimeoutAbort, v1alpha1.TimeoutPromote)}
			if !yield(pick(s, weight(s.percent()), pause(0), pause(30*time.Second), v1alpha1.Step{Pause: timeout}, headerStep(), mirrorStep(s.percent()),
				v1alpha1.Step{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa"}}, v1alpha1.Step{SetCanaryScale: s.scale()})) {
				return
			}
		}
	})
}

func (s *source) scale() *v1alpha1.SetCanaryScale {
	scale := pick(s, v1alpha1.SetCanaryScale{Replicas: ptr.To(s.upTo(5))}, v1alpha1.SetCanaryScale{Weight: ptr.To(s.percent())},
		v1alpha1.SetCanaryScale{MatchTrafficWeight: ptr.To(true)})
	scale.Mode = pick(s, "", v1alpha1.ScaleModeExact, v1alpha1.ScaleModeMinimum)
	return &scale
}

// memory is one that the controller could have written; a torn one has been edited, or comes from another version.
func (s *source) memory(steps []v1alpha1.Step, torn bool) *v1alpha1.Memory {
	service := func() v1alpha1.ServiceMemory {
		return v1alpha1.ServiceMemory{Revision: s.revision(), ReadyAt: s.maybeTime()}
	}
	m := &v1alpha1.Memory{
		Template:       v1alpha1.TemplateMemory{Hash: "hash", Revision: s.revision()},
		StableRevision: pick(s, "a", "b", ""), CurrentRevision: pick(s, "b", "a", "c"), AbortedRevision: pick(s, "", "", "b", "a", "c"),
		ForcedRevision: pick(s, "", "", "b"), StepIndex: s.upTo(byte(len(steps))), TransitionedAt: s.time(),
		Phase:     pick(s, v1alpha1.PhaseStepping, v1alpha1.PhasePromoting, v1alpha1.PhaseRollingBack, v1alpha1.PhaseIdle),
		StepsHash: pick(s, stepsHash(steps), stepsHash(steps), "edited"), StepRefusal: pick(s, "", "", "refused it"),
		StepTargets:   v1alpha1.StepTargetsMemory{Weight: s.percent(), MirrorPercent: s.percent(), Scale: pick(s, nil, s.scale()), HeaderRoutes: pick(s, nil, []v1alpha1.SetHeaderRoute{*qaRoute()})},
		StableService: service(), CanaryService: service(),
		Traffic: v1alpha1.TrafficMemory{Weight: s.percent(), MirrorPercent: pick(s, 0, s.percent()), HeaderRoutesActive: s.bool(), VerifiedWeight: s.percent(), VerifiedAt: s.maybeTime()},
		Command: pick(s, nil, nil, &v1alpha1.CommandMemory{
			Command:  pick(s, v1alpha1.CommandAbort, v1alpha1.CommandPromote, v1alpha1.CommandPromoteFull, v1alpha1.CommandRetry),
			Revision: s.revision(), StepIndex: s.upTo(3), Annotations: []v1alpha1.CommandAnnotation{{Key: v1alpha1.PromoteAnnotation, Value: "true"}},
		}),
		ForcedReleaseSince: s.maybeTime(),
		Progress:           v1alpha1.ProgressMemory{At: s.maybeTime(), Available: s.upTo(9)},
	}
	for range s.upTo(2) {
		m.Draining = append(m.Draining, v1alpha1.DrainMemory{Revision: s.revision(), Since: s.maybeTime()})
	}
	for range s.upTo(2) {
		m.Traffic.Routes = append(m.Traffic.Routes, v1alpha1.RouteMemory{Kind: "HTTPRoute", Name: pick(s, "one", "two"), Generation: int64(s.upTo(9)), CarriedAt: s.time()})
	}
	if torn {
		m.StepIndex, m.TransitionedAt, m.Phase = pick[int32](s, -1, 99, m.StepIndex), s.maybeTime(), pick(s, m.Phase, "", "Other")
		for i := range m.Traffic.Routes {
			m.Traffic.Routes[i].CarriedAt = s.maybeTime()
		}
	}
	return m
}

func (s *source) service(name string) Service {
	service := Service{Name: name, Found: !s.bool(), Problem: s.problem(), Revision: s.revision()}
	for range s.upTo(3) {
		ready := s.upTo(5)
		service.Endpoints = append(service.Endpoints, Endpoints{Revision: s.revision(), Ready: ready, Total: ready + s.upTo(1)})
	}
	return service
}

func (s *source) observed() Observed {
	o := Observed{Template: pick(s, Template{Hash: "hash", Revision: s.revision(), Images: "i"}, Template{Problem: s.problem()}), NamespaceTerminating: s.next()%8 == 7}
	for _, revision := range []string{"a", "b", "c"} {
		if s.next()%4 < 3 {
			o.ReplicaSets = append(o.ReplicaSets, ReplicaSet{
				Name: "reviews-" + revision, Revision: revision, Desired: s.upTo(5), Replicas: s.upTo(5), Ready: s.upTo(5),
				Available: s.upTo(5), Current: !s.bool(), Created: s.time().Time,
			})
		}
	}
	for range s.upTo(1) {
		o.Orphans = append(o.Orphans, Orphan{Name: "orphan", Revision: s.revision(), Equal: s.bool(), Ready: s.upTo(3)})
	}
	o.Stable, o.Canary = s.service("reviews-stable"), s.service("reviews-canary")
	for _, name := range []string{"one", "two"}[:s.upTo(2)] {
		o.Routes = append(o.Routes, Route{
			Kind: "HTTPRoute", Name: name, Found: s.next()%8 < 7, Problem: s.problem(), Generation: int64(1 + s.upTo(9)), Weight: pick(s, s.percent(), s.percent(), MixedWeight),
			Mirror: pick(s, 0, s.percent(), MixedWeight), Headers: pick(s, HeadersNone, HeadersCurrent, HeadersOther), Total: pick[int32](s, 0, 0, 1, 10, 30), AcceptedGeneration: int64(s.upTo(10)), RefusedGeneration: pick(s, 0, int64(s.upTo(10))), Unversioned: s.bool(),
		})
	}
	return o
}

// probe has measured what is wanted, or something else, or nothing.
func (s *source) probe(wanted *ProbeRequest) Probe {
	request := ProbeRequest{Weight: s.percent(), Stable: s.revision(), Canary: s.revision(), CarriedAt: s.time().UnixMicro()}
	if wanted != nil && !s.bool() {
		request = *wanted
	}
	return pick(s, Probe{ProbeRequest: request, Fits: true}, Probe{ProbeRequest: request, Pending: "38 of 100"}, Probe{ProbeRequest: request}, Probe{})
}

func (s *source) input() Input {
	torn, steps := s.next() == 1, s.steps()
	command := func(values ...string) *string { return pick(s, nil, nil, ptr.To(pick(s, values...))) }
	w := newWorld(s.upTo(5), steps...)
	w.now, w.finalizer = epoch.Add(time.Hour), s.next()%8 < 7
	in := w.input()
	in.Spec.Paused, in.Spec.ProgressDeadlineAbort, in.Spec.ProgressDeadlineSeconds = s.bool(), s.bool(), ptr.To[int32](600)
	in.Commands = Commands{Promote: command("true", "full", "b/1", "b/full", "x"), Abort: command("true", "false"), Retry: command("true", "x")}
	in.Prior.Memory = pick(s, s.memory(steps, torn), s.memory(steps, torn), s.memory(steps, torn), nil)
	in.Observed = s.observed()
	if s.next()%4 == 3 {
		in.DeletedAt = s.time().Time
	}
	if s.bool() {
		in.Spec.Traffic.Probe = &v1alpha1.Probe{URL: "http://gateway/reviews", RevisionHeader: "X-Revision"}
		in.Observed.Probe = s.probe(Compute(in).Probe())
	}
	return in
}

// FuzzCompute checks P1, P5, P9 and P10 for any status and any observations.
func FuzzCompute(f *testing.F) {
	f.Add([]byte{})
	for seed := range uint64(64) {
		random, data := rand.New(rand.NewPCG(seed, seed)), make([]byte, 160)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		data[0] = byte(seed % 2) // every other one is torn
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := (&source{data}).input()
		checkWeights(t, in)
		checkProbe(t, in)
		checkSame(t, in)
		checkReportIsNoInput(t, in)
		checkFixpoint(t, in)
		checkInputIsKept(t, data)
	})
}

// checkWeights checks P1.
func checkWeights(t *testing.T, in Input) {
	t.Helper()
	got := Compute(in)
	for _, action := range got.Actions {
		if set, is := action.(SetTraffic); is && (set.Weight < 0 || set.Weight > 100) {
			t.Errorf("P1: %s", describeAction(set))
		}
	}
	if m := got.Status.Memory; m != nil && (min(m.Traffic.Weight, m.StepTargets.Weight, m.Traffic.VerifiedWeight) < 0 || max(m.Traffic.Weight, m.StepTargets.Weight, m.Traffic.VerifiedWeight) > 100) {
		t.Errorf("P1: weights %+v, steps ask for %d", m.Traffic, m.StepTargets.Weight)
	}
}

// checkProbe checks T4 with a probe: a target that is still to be measured is not verified, nor is one without a measurement.
func checkProbe(t *testing.T, in Input) {
	t.Helper()
	got := Compute(in)
	if got.Probe() != nil && (in.Spec.Traffic.Probe == nil || got.Status.Memory.Traffic.VerifiedAt != nil) {
		t.Errorf("T4: %+v is to be measured for %+v", *got.Probe(), got.Status.Memory.Traffic)
	}
	mem := in.Prior.Memory
	if in.Spec.Traffic.Probe == nil || *in.Spec.Replicas == 0 || mem == nil || mem.StableRevision == "" || mem.Traffic.VerifiedAt != nil {
		return
	}
	in.Observed.Probe = Probe{}
	if mem := Compute(in).Status.Memory; mem.Traffic.VerifiedAt != nil && len(mem.Traffic.Routes) > 0 {
		t.Errorf("T4: verified without a measurement: %+v", mem.Traffic)
	}
}

// checkSame checks P9: a second pass over the same input, or over the status as read back, makes the same plan.
func checkSame(t *testing.T, in Input) {
	t.Helper()
	first := Compute(in)
	stored := in
	stored.Prior = v1alpha1.CanaryRolloutStatus{}
	encoded, err := json.Marshal(in.Prior)
	if err == nil {
		err = json.Unmarshal(encoded, &stored.Prior)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]Plan{"again": Compute(in), "read back": Compute(stored)} {
		if !equality.Semantic.DeepEqual(first.Actions, again.Actions) || !equality.Semantic.DeepEqual(first.Status, again.Status) ||
			!slices.Equal(first.Events, again.Events) || !first.WakeAt.Equal(again.WakeAt) || !ptr.Equal(first.Probe(), again.Probe()) {
			t.Errorf("P9, %s: plan differs (-first +again):\n%s", name, cmp.Diff(first, again))
		}
	}
}

// checkInputIsKept: passes plan on the very objects of the cache, so a plan must not change what it is made from.
func checkInputIsKept(t *testing.T, data []byte) {
	t.Helper()
	in, untouched := (&source{data}).input(), (&source{data}).input()
	Compute(in)
	if !reflect.DeepEqual(in, untouched) {
		t.Errorf("the plan has changed its input (-want +got):\n%s", cmp.Diff(untouched, in))
	}
}

// checkReportIsNoInput checks P10.
func checkReportIsNoInput(t *testing.T, in Input) {
	t.Helper()
	want := Compute(in)
	in.Prior = v1alpha1.CanaryRolloutStatus{
		Memory: in.Prior.Memory, History: in.Prior.History, State: v1alpha1.StateAborted, Message: "x", Step: "9/9", Weight: "77", RevisionWeight: &v1alpha1.RevisionWeight{Verified: 7}, Revision: "c",
		Ready: "0/9", Images: "x", Replicas: 99, Selector: "x", ObservedGeneration: 99, Stable: &v1alpha1.RevisionStatus{Revision: "c", Ready: 9},
		Canary: &v1alpha1.RevisionStatus{Revision: "a"}, Traffic: &v1alpha1.TrafficStatus{DesiredWeight: 77, VerifiedWeight: 78},
		Pause:      &v1alpha1.PauseStatus{Reason: "x", Until: &metav1.Time{Time: epoch}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "x"}, {Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}},
	}
	got := Compute(in)
	if !equality.Semantic.DeepEqual(want.Actions, got.Actions) || !equality.Semantic.DeepEqual(want.Status.Memory, got.Status.Memory) ||
		!want.WakeAt.Equal(got.WakeAt) || !ptr.Equal(want.Probe(), got.Probe()) {
		t.Errorf("P10: plan differs (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// checkFixpoint checks P5: if nothing has to be done and nothing changes, memory stops changing. A pass makes one transition,
// and every step that already has everything it needs is one.
func checkFixpoint(t *testing.T, in Input) {
	t.Helper()
	passes := 8 + 2*len(in.Spec.Steps)
	for range passes {
		got := Compute(in)
		if len(got.Actions) > 0 || equality.Semantic.DeepEqual(in.Prior.Memory, got.Status.Memory) {
			return
		}
		in.Prior = got.Status
	}
	t.Errorf("P5: no rest after %d passes: %s", passes, cmp.Diff(in.Prior.Memory, Compute(in).Status.Memory))
}
