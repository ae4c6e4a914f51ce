// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

func specPaused(in *Input) { in.Spec.Paused = true }

func problem(reason string) change {
	return func(in *Input) { in.Observed.Stable.Problem = &Problem{reason, "put it right"} }
}

// TestColumns checks what kubectl get shows: state, step, weight, revision and ready.
func TestColumns(t *testing.T) {
	steps := []v1alpha1.Step{weight(50), pause(0), weight(100)}
	at := func(index int32) change { return memory(func(m *v1alpha1.Memory) { m.StepIndex = index }) }
	old := set("a", func(rs *ReplicaSet) { rs.Current = false })
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"nothing yet":              {changed(firstDeploy(), alive("b", 1)), "Initializing 0/0  b 1/4"},
		"first deploy, skips":      {changed(firstDeploy(), alive("b", 1), func(in *Input) { in.Spec.Steps = steps }), "Initializing 0/3  b 1/4"},
		"first deploy, routed":     {changed(firstDeploy(), stableAt("b"), canaryAt("b"), unverified), "Initializing 0/0 0->100 b 4/4"},
		"first deploy, verified":   {changed(firstDeploy(), stableAt("b"), canaryAt("b")), "Initializing 0/0 100 b 4/4"},
		"healthy":                  {idle(steps...), "Healthy 3/3 100 a 4/4"},
		"healthy, old status":      {changed(idle(), old), "Healthy 0/0 100 a 4/4"},
		"waiting for verification": {changed(midway(50, steps...), unverified, memory(func(m *v1alpha1.Memory) { m.Traffic.VerifiedWeight = 20 })), "Progressing 1/3 20->50 b 6/6"},
		"waiting for pods":         {changed(midway(10, steps...), pods("b", 2), alive("b", 1)), "Progressing 1/3 10->50 b 5/6"},
		"at a pause":               {changed(midway(50, steps...), at(1)), "Paused 2/3 50 b 6/6"},
		"held":                     {changed(midway(50, steps...), specPaused), "Paused 1/3 50 b 6/6"},
		"promoting":                {changed(promoting(50), canaryEndpoints("b", 3)), "Promoting 0/0 50->100 b 8/8"},
		"stable moved":             {changed(promoting(100), stableAt("b")), "Promoting 0/0 100 b 8/8"},
		"rolling back":             {changed(rollingBack(50), template("c"), unverified), "Progressing 0/0 50->0 b 6/6"},
		"aborting":                 {changed(rollingBack(50), aborted("b")), "Aborting 0/0 50->0 b 6/6"},
		"aborted":                  {changed(idle(steps...), aborted("b"), template("b")), "Aborted 0/3 0 b 4/4"},
		"a problem":                {changed(midway(50, steps...), problem(v1alpha1.ReasonServiceConflict)), "Degraded 1/3 50 b 6/6"},
		"deleted":                  {changed(rollingBack(50), func(in *Input) { in.DeletedAt = in.Now }), "Terminating 0/0 50->0 b 6/6"},
		"stable lacks a pod":       {changed(idle(), alive("a", 3)), "Progressing 0/0 100 a 3/4"},
		"not verified":             {changed(idle(), unverified), "Progressing 0/0 100 a 4/4"},
		"selector on its way":      {changed(idle(), func(in *Input) { in.Observed.Canary.Revision = "" }), "Progressing 0/0 100 a 4/4"},
		"rest with a problem":      {changed(idle(), problem(v1alpha1.ReasonServiceNotFound)), "Progressing 0/0 100 a 4/4"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Compute(tc.in).Status
			got := strings.Join([]string{string(s.State), s.Step, s.Weight, s.Revision, s.Ready}, " ")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("columns differ (-want +got):\n%s%s", diff, s.Message)
			}
		})
	}
}

// TestReport checks the rest of the report. The scale subresource counts the stable pods, and selects those of every
// revision: an autoscaler that saw the stable ones alone would take the canary's share for idle time.
func TestReport(t *testing.T) {
	in := changed(midway(50, pause(10*time.Second)), headers(true), memory(func(m *v1alpha1.Memory) { m.TransitionedAt = ago(4) }))
	got := Compute(in).Status
	want := v1alpha1.CanaryRolloutStatus{
		ObservedGeneration: 1, State: v1alpha1.StatePaused, Step: "1/1", Weight: "50", Revision: "b", Ready: "6/6", Replicas: 4,
		RevisionWeight: &v1alpha1.RevisionWeight{Verified: 50, Desired: 50},
		Images:         "reviews:a -> reviews:b", Selector: "app=reviews",
		Message: "paused until 01:00:06Z; to continue now: kubectl -n default annotate canaryrollout reviews canaryrollout.dev/promote=true",
		Stable:  &v1alpha1.RevisionStatus{Revision: "a", Desired: 4, Replicas: 4, Ready: 4, Available: 4},
		Canary:  &v1alpha1.RevisionStatus{Revision: "b", Desired: 2, Replicas: 2, Ready: 2, Available: 2},
		Traffic: &v1alpha1.TrafficStatus{DesiredWeight: 50, VerifiedWeight: 50, HeaderRoutes: []string{"qa"},
			Routes: []v1alpha1.RouteStatus{{Kind: "HTTPRoute", Name: "reviews", DesiredWeight: 50, VerifiedWeight: ptr.To[int32](50)}}},
		Pause: &v1alpha1.PauseStatus{Reason: "PauseStep", StartedAt: &metav1.Time{Time: ago(4).Time}, Until: &metav1.Time{Time: ago(-6).Time}},
	}
	got.Memory, got.Conditions = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
}

// TestConditions checks what kstatus, alerts and people read.
func TestConditions(t *testing.T) {
	const order = "Ready Reconciling Stalled Available Progressing Paused TrafficRouted"
	overdue := memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(3600) })
	gone := problem(v1alpha1.ReasonServiceNotFound)
	noTemplate := func(in *Input) {
		in.Observed.Template = Template{Problem: &Problem{v1alpha1.ReasonInvalidTemplate, "no"}}
	}
	unversioned := route(func(r *Route) { r.AcceptedGeneration, r.Unversioned = 0, true })
	for name, tc := range map[string]struct {
		in   Input
		want string
	}{
		"healthy":     {idle(), "+Healthy -Healthy -NotStalled +PodsAvailable +Complete -NotPaused +Verified"},
		"unversioned": {changed(idle(), unversioned), "+Healthy -Healthy -NotStalled +PodsAvailable +Complete -NotPaused +VerifiedWithoutObservedGeneration"},
		"deploying":   {firstDeploy(), "-Initializing +Initializing -NotStalled -Initializing +Initializing -NotPaused +Verified"},
		"no pods yet": {changed(firstDeploy(), alive("b", 1)), "-Initializing +Initializing -NotStalled -Initializing +Initializing -NotPaused -WaitingForPods"},
		"stepping":    {changed(midway(20, weight(20)), unverified), "-Progressing +Progressing -NotStalled +PodsAvailable +Progressing -NotPaused -RouteNotVerified"},
		"sick stable": {changed(midway(20, weight(20)), alive("a", 3)), "-Progressing +Progressing -NotStalled -PodsUnavailable +Progressing -NotPaused +Verified"},
		"pause":       {midway(20, pause(0)), "-PauseStep +PauseStep -NotStalled +PodsAvailable +PauseStep +PauseStep +Verified"},
		"held":        {changed(midway(20, pause(0)), specPaused), "-SpecPaused +SpecPaused -NotStalled +PodsAvailable +SpecPaused +SpecPaused +Verified"},
		"aborted":     {changed(idle(), aborted("b"), template("b")), "-Aborted -Aborted +Aborted +PodsAvailable -Aborted -NotPaused +Verified"},
		"overdue":     {changed(midway(20, weight(20)), unverified, overdue), "-ProgressDeadlineExceeded -ProgressDeadlineExceeded +ProgressDeadlineExceeded +PodsAvailable -ProgressDeadlineExceeded -NotPaused -RouteNotVerified"},
		"missing":     {changed(midway(20, weight(20)), gone), "-Progressing +Progressing -NotStalled +PodsAvailable +Progressing -NotPaused -ServiceNotFound"},
		"missing, overdue": {changed(midway(20, weight(20)), gone, overdue),
			"-ProgressDeadlineExceeded -ProgressDeadlineExceeded +ProgressDeadlineExceeded +PodsAvailable -ProgressDeadlineExceeded -NotPaused -ServiceNotFound"},
		"conflict":     {changed(midway(20, weight(20)), problem(v1alpha1.ReasonServiceConflict)), "-ServiceConflict -ServiceConflict +ServiceConflict +PodsAvailable -ServiceConflict -NotPaused -ServiceConflict"},
		"bad template": {changed(midway(20, weight(20)), noTemplate), "-InvalidTemplate -InvalidTemplate +InvalidTemplate +PodsAvailable -InvalidTemplate -NotPaused +Verified"},
		"deleted":      {changed(rollingBack(20), func(in *Input) { in.DeletedAt = in.Now }), "-Deleting +Deleting -NotStalled +PodsAvailable +Deleting -NotPaused -RouteNotVerified"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Generation = 9
			got := ComputeMove(tc.in)
			var texts []string
			for _, kind := range strings.Fields(order) {
				c := conditionOf(got, kind)
				if c.ObservedGeneration != 9 {
					t.Errorf("%s is about generation %d", kind, c.ObservedGeneration)
				}
				texts = append(texts, map[metav1.ConditionStatus]string{metav1.ConditionTrue: "+", metav1.ConditionFalse: "-"}[c.Status]+c.Reason)
			}
			if diff := cmp.Diff(tc.want, strings.Join(texts, " ")); diff != "" {
				t.Errorf("conditions differ (-want +got):\n%s%s", diff, got.Status.Message)
			}
		})
	}
}

// TestMessages checks that no message changes by the clock alone, that times of transitions are kept, and that a
// message fits.
func TestMessages(t *testing.T) {
	unversioned := func(in *Input) {
		in.Observed.Routes[0].AcceptedGeneration, in.Observed.Routes[0].Unversioned = 0, true
		in.Prior.Memory.Traffic.Routes[0].CarriedAt, in.Prior.Memory.Traffic.VerifiedAt = ago(10), nil
	}
	for name, in := range map[string]Input{
		"pause":        changed(midway(20, pause(10*time.Second)), memory(func(m *v1alpha1.Memory) { m.TransitionedAt = ago(2) })),
		"settling":     changed(promoting(100), verified(2)),
		"endpoints":    changed(midway(0, weight(10)), memory(func(m *v1alpha1.Memory) { m.CanaryService.ReadyAt = ago(2) })),
		"unversioned":  changed(midway(20, weight(20)), unversioned),
		"overdue":      changed(midway(20, weight(20)), unverified, memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(4000) })),
		"aborted":      changed(idle(), aborted("b"), template("b")),
		"rolling back": changed(rollingBack(0), verified(2)),
	} {
		t.Run(name, func(t *testing.T) {
			in.Prior = Compute(in).Status
			before := Compute(in).Status
			in.Now = in.Now.Add(time.Second)
			if after := Compute(in).Status; !equality.Semantic.DeepEqual(before, after) {
				t.Errorf("status differs after a second (-before +after):\n%s", cmp.Diff(before, after))
			}
		})
	}
	shared := route(func(r *Route) { r.OtherUses = "HTTPRoute other" })
	if got := conditionOf(Compute(changed(idle(), shared)), v1alpha1.ConditionTrafficRouted); !strings.HasSuffix(got.Message, "; also used by HTTPRoute other") || got.Status != metav1.ConditionTrue {
		t.Errorf("other uses: %s %s", got.Status, got.Message)
	}
}

// TestProblemEvents checks that one Event warns of a problem when it comes up, and another one reports its end.
func TestProblemEvents(t *testing.T) {
	reasons := func(in Input) (got []string) {
		for _, event := range Compute(in).Events {
			got = append(got, event.Reason)
		}
		return got
	}
	for name, tc := range map[string]struct{ comes, goes []string }{
		v1alpha1.ReasonServiceConflict: {[]string{v1alpha1.ReasonServiceConflict}, []string{EventRecovered}},
		v1alpha1.ReasonRouteNotFound:   {[]string{v1alpha1.ReasonRouteNotFound}, nil}, // not stalled by it yet
	} {
		in := changed(idle(), problem(name))
		came := reasons(in)
		in.Prior = Compute(in).Status
		stays := reasons(in)
		in.Observed.Stable.Problem = nil
		if diff := cmp.Diff([][]string{tc.comes, nil, tc.goes}, [][]string{came, stays, reasons(in)}); diff != "" {
			t.Errorf("%s: events differ (-want +got):\n%s", name, diff)
		}
	}
}

// TestTrouble checks that a rollout with missing pods reports why, as far as that is known.
func TestTrouble(t *testing.T) {
	forbidden := func(revision string) change {
		return func(in *Input) {
			alive(revision, 1)(in)
			set(revision, func(rs *ReplicaSet) { rs.Trouble = "exceeded quota: tight" })(in)
		}
	}
	why := "waiting for 2 available pods of revision b: 1 so far (exceeded quota: tight)"
	overdue := memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(3600) })
	for want, in := range map[string]Input{
		why:                                 changed(midway(40, weight(50)), forbidden("b")),
		"no progress within 1h0m0s: " + why: changed(midway(40, weight(50)), forbidden("b"), overdue),
		"waiting for 4 available pods of stable revision a: 1 so far (exceeded quota: tight)": changed(idle(), forbidden("a")),
	} {
		if got := Compute(in).Status.Message; got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
	condition := conditionOf(Compute(changed(idle(), forbidden("a"))), v1alpha1.ConditionAvailable)
	if want := "stable revision a has 1 of 4 available pods (exceeded quota: tight)"; condition.Message != want {
		t.Errorf("Available says %q, want %q", condition.Message, want)
	}
}

// TestAlarms checks that a stable Service that serves nothing, and a gateway that no longer accepts a route, are reported at
// once, whatever the rollout waits for: in the message, in a condition and in one Event.
func TestAlarms(t *testing.T) {
	const (
		dead    = "Service reviews-stable has no ready endpoint, so requests to it fail"
		refused = "HTTPRoute reviews is not verified: Gateway http: Accepted is False (NoMatchingParent)"
		lost    = "RouteNotVerified: weight 20 is no longer verified: " + refused
	)
	dies := func(in *Input) { alive("a", 0)(in); stableEndpoints("a", 0)(in) }
	refuses := route(func(r *Route) {
		r.AcceptedGeneration, r.Pending = 0, "Gateway http: Accepted is False (NoMatchingParent)"
	})
	for name, tc := range map[string]struct {
		in                Input
		message           string
		condition, reason string
		event             string
	}{
		"stable dies at a pause":      {changed(midway(20, pause(0)), dies), dead + "; paused until promoted", v1alpha1.ConditionAvailable, v1alpha1.ReasonStableUnavailable, "StableUnavailable: " + dead},
		"stable dies, held":           {changed(midway(20, pause(0)), dies, specPaused), dead + "; held by spec.paused", v1alpha1.ConditionAvailable, v1alpha1.ReasonStableUnavailable, "StableUnavailable: " + dead},
		"stable dies at a weight":     {changed(midway(20, weight(40)), dies), dead + "; waiting for 2 available pods", v1alpha1.ConditionAvailable, v1alpha1.ReasonStableUnavailable, "StableUnavailable: " + dead},
		"stable dies idle":            {changed(idle(), dies), dead + "; waiting for 4 available pods", v1alpha1.ConditionAvailable, v1alpha1.ReasonStableUnavailable, "StableUnavailable: " + dead},
		"endpoints lost idle":         {changed(idle(), stableEndpoints("a", 0)), dead + "; waiting for ready endpoints", v1alpha1.ConditionAvailable, v1alpha1.ReasonStableUnavailable, "StableUnavailable: " + dead},
		"all traffic is on canary":    {changed(promoting(100), dies), "", v1alpha1.ConditionAvailable, v1alpha1.ReasonPodsUnavailable, ""},
		"route refused at a pause":    {changed(midway(20, pause(0)), refuses), refused, v1alpha1.ConditionTrafficRouted, v1alpha1.ReasonRouteNotVerified, lost},
		"route refused, held":         {changed(midway(20, pause(0)), refuses, specPaused), refused + "; held by spec.paused", v1alpha1.ConditionTrafficRouted, v1alpha1.ReasonRouteNotVerified, lost},
		"route refused idle":          {changed(idle(), refuses), refused, v1alpha1.ConditionTrafficRouted, v1alpha1.ReasonRouteNotVerified, strings.Replace(lost, "20", "0", 1)},
		"a new weight is not refused": {changed(midway(20, weight(20)), unverified), "", v1alpha1.ConditionTrafficRouted, v1alpha1.ReasonRouteNotVerified, ""},
	} {
		t.Run(name, func(t *testing.T) {
			events := func(plan Plan) (got []string) {
				for _, event := range plan.Events {
					if event.Warning || event.Reason == EventRecovered {
						got = append(got, event.Reason+": "+event.Message)
					}
				}
				return got
			}
			first := Compute(tc.in)
			if !strings.HasPrefix(first.Status.Message, tc.message) {
				t.Errorf("message %q, want %q", first.Status.Message, tc.message)
			}
			if c := conditionOf(first, tc.condition); c.Status != metav1.ConditionFalse || c.Reason != tc.reason {
				t.Errorf("%s is %s (%s)", c.Type, c.Status, c.Reason)
			}
			var want []string
			if tc.event != "" {
				want = []string{tc.event}
			}
			if diff := cmp.Diff(want, events(first)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			tc.in.Prior = first.Status
			if again := events(Compute(tc.in)); again != nil {
				t.Errorf("the next pass says again %v", again)
			}
		})
	}
	in := changed(idle(), dies)
	in.Prior = Compute(in).Status
	alive("a", 4)(&in)
	if got := Compute(in).Events; len(got) != 1 || got[0].Reason != EventRecovered {
		t.Errorf("when it serves again: %+v", got)
	}
}

// TestStalledOnce checks that what stalls a rollback is reported once, even while a command is accepted and carried out. Each
// pass that did not check for it used to report that it was over, and the next one warned again.
func TestStalledOnce(t *testing.T) {
	for given, in := range map[string]Input{
		"abort=true": changed(midway(20, pause(0)), stableEndpoints("a", 0), alive("a", 0)),
		"retry=true": changed(rollingBack(20), aborted("b"), stableEndpoints("a", 0), alive("a", 0)),
	} {
		in.Prior = Compute(in).Status
		in = changed(in, command(given))
		var got []string
		for range 4 {
			plan := Compute(in)
			for _, event := range plan.Events {
				if event.Reason == v1alpha1.ReasonStableUnavailable || event.Reason == EventRecovered {
					got = append(got, event.Reason)
				}
			}
			if len(plan.Actions) > 0 {
				in.Commands = Commands{} // its annotation is removed
			}
			in.Prior = plan.Status
		}
		want := map[string][]string{"abort=true": {v1alpha1.ReasonStableUnavailable}}[given]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: events (-want +got):\n%s", given, diff)
		}
	}
}

// TestDeadline checks that the progress deadline counts from the last progress, not in pauses, and aborts if it is to.
func TestDeadline(t *testing.T) {
	since := func(seconds int) change { return memory(func(m *v1alpha1.Memory) { m.Progress.At = ago(seconds) }) }
	aborts := func(in *Input) { in.Spec.ProgressDeadlineAbort = true }
	stuck := func(changes ...change) Input {
		return changed(midway(20, weight(20)), append([]change{unverified, aborts, func(in *Input) {
			in.Spec.ProgressDeadlineSeconds, in.Spec.Traffic.VerifyTimeoutSeconds = ptr.To[int32](600), ptr.To[int32](3600)
		}}, changes...)...)
	}
	const still, abort = "Stepping 0: 20% a/b", "RollingBack 0: 0% a/b aborted b"
	for name, tc := range map[string]planCase{
		"not yet":          {in: stuck(since(599)), targets: still, wake: time.Second},
		"passed":           {in: stuck(since(600)), targets: abort},
		"no abort asked":   {in: stuck(since(600), func(in *Input) { in.Spec.ProgressDeadlineAbort = false }), targets: still, stalled: v1alpha1.ReasonProgressDeadlineExceeded},
		"a pod more":       {in: stuck(since(600), pods("b", 1), memory(func(m *v1alpha1.Memory) { m.Progress.Available = 4 })), targets: still, wake: 10 * time.Minute},
		"not counting yet": {in: stuck(memory(func(m *v1alpha1.Memory) { m.Progress.At = nil })), targets: still, wake: 10 * time.Minute},
		"at a pause":       {in: changed(midway(20, pause(0)), aborts, since(9999)), targets: still},
		"held":             {in: stuck(since(9999), specPaused), targets: still},
		"no replicas":      {in: stuck(since(9999), func(in *Input) { in.Spec.Replicas = ptr.To[int32](0) }, pods("b", 0), pods("a", 0)), targets: still},
		"promoting":        {in: changed(promoting(50), aborts, canaryEndpoints("b", 3), memory(func(m *v1alpha1.Memory) { m.Progress = v1alpha1.ProgressMemory{At: ago(9999), Available: 8} })), targets: "RollingBack 0: 0% a/b aborted b"},
		"promoted by hand": {in: stuck(since(600), command("promote=full")), targets: still},
		"rolling back":     {in: changed(rollingBack(0), aborts, unverified, since(9999)), targets: "RollingBack 0: 0% a/b", stalled: v1alpha1.ReasonProgressDeadlineExceeded},
		"first deploy":     {in: changed(firstDeploy(), aborts, alive("b", 0), since(9999)), targets: "Promoting 0: 0% /", stalled: v1alpha1.ReasonProgressDeadlineExceeded},
	} {
		t.Run(name, tc.check)
	}
	for name, in := range map[string]Input{"at a pause": changed(midway(20, pause(0)), since(9)), "healthy": changed(idle(), since(9)), "held": stuck(specPaused)} {
		if got := Compute(in).Status.Memory.Progress; got.At != nil {
			t.Errorf("%s: the deadline counts since %s", name, got.At)
		}
	}
}

// TestFailed checks that a pass in which a write was refused is remembered and reports what is wrong, and that the status
// does not change while that lasts.
func TestFailed(t *testing.T) {
	prior, next := Compute(idle()).Status, Compute(midway(50, pause(0))).Status
	got := Failed(prior, next, 5, "denied by a webhook", epoch)
	if diff := cmp.Diff(next.Memory, got.Memory); diff != "" {
		t.Errorf("memory differs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, Failed(got, next, 5, "denied by a webhook", epoch.Add(time.Hour))); diff != "" {
		t.Errorf("the same once more is another status (-first +second):\n%s", diff)
	}
	if c := meta.FindStatusCondition(got.Conditions, v1alpha1.ConditionPaused); c.Status != "True" {
		t.Errorf("Paused: %+v", c)
	}
	for kind, want := range map[string]metav1.ConditionStatus{v1alpha1.ConditionReady: "False", v1alpha1.ConditionReconciling: "False", v1alpha1.ConditionStalled: "True"} {
		c := meta.FindStatusCondition(got.Conditions, kind)
		if c.Status != want || c.Reason != v1alpha1.ReasonReconcileError || c.Message != "denied by a webhook" || c.ObservedGeneration != 5 {
			t.Errorf("%s: %+v", kind, c)
		}
	}
	if got.ObservedGeneration != 5 {
		t.Errorf("the status is about generation %d", got.ObservedGeneration)
	}
	if got.State != v1alpha1.StateDegraded || prior.State != v1alpha1.StateHealthy {
		t.Errorf("state %s, before %s", got.State, prior.State)
	}
}
