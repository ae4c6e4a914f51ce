// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

var born = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at returns the time that many seconds after the release began.
func at(seconds int) time.Time { return born.Add(time.Duration(seconds) * time.Second) }

func rollout(name string, state v1alpha1.State, step int32, seconds int, ended *metav1.Time) *v1alpha1.CanaryRollout {
	started := metav1.NewTime(born)
	return &v1alpha1.CanaryRollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: name},
		Spec:       v1alpha1.CanaryRolloutSpec{Steps: make([]v1alpha1.Step, 3)},
		Status: v1alpha1.CanaryRolloutStatus{
			State:   state,
			Traffic: &v1alpha1.TrafficStatus{DesiredWeight: 20, VerifiedWeight: 10},
			Memory: &v1alpha1.Memory{
				Phase: v1alpha1.PhaseStepping, StepIndex: step, CurrentRevision: "bbb",
				TransitionedAt: &metav1.MicroTime{Time: at(seconds)},
			},
			History: []v1alpha1.HistoryEntry{{
				Revision: "bbb", StartedAt: &started, EndedAt: ended, Outcome: v1alpha1.OutcomePromoted,
			}},
		},
	}
}

// prefix is common to all metric names.
const prefix = "canaryrollout_"

func compare(t *testing.T, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(metrics.Registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// export sets the rollouts that have gauges, until the test ends.
func export(t *testing.T, rollouts ...*v1alpha1.CanaryRollout) {
	t.Helper()
	Export(func() []*v1alpha1.CanaryRollout { return rollouts })
	t.Cleanup(func() { Export(func() []*v1alpha1.CanaryRollout { return nil }) })
}

func TestRecord(t *testing.T) {
	t.Cleanup(func() { Forget(types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}) })
	first := rollout("reviews", v1alpha1.StateProgressing, 0, 0, nil)
	second := rollout("reviews", v1alpha1.StatePaused, 1, 20, nil)
	ended := metav1.NewTime(at(50))
	third := rollout("reviews", v1alpha1.StateHealthy, 1, 20, &ended)
	Record(first, first)
	Record(first, second)
	Record(second, third)
	Record(third, third)
	export(t, third)
	compare(t, `
# HELP canaryrollout_desired_weight_percent Share of the canary that the routes should carry.
# TYPE canaryrollout_desired_weight_percent gauge
canaryrollout_desired_weight_percent{name="reviews",namespace="bookinfo"} 20
# HELP canaryrollout_verified_weight_percent Share of the canary that every route was last verified to carry.
# TYPE canaryrollout_verified_weight_percent gauge
canaryrollout_verified_weight_percent{name="reviews",namespace="bookinfo"} 10
# HELP canaryrollout_transition_timestamp_seconds When the current step began, or the current phase outside the steps.
# TYPE canaryrollout_transition_timestamp_seconds gauge
canaryrollout_transition_timestamp_seconds{name="reviews",namespace="bookinfo"} 1.76722562e+09
# HELP canaryrollout_state State of the rollout: 1 for the one it is in, 0 for the others.
# TYPE canaryrollout_state gauge
canaryrollout_state{name="reviews",namespace="bookinfo",state="Aborted"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Aborting"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Degraded"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Healthy"} 1
canaryrollout_state{name="reviews",namespace="bookinfo",state="Initializing"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Paused"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Progressing"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Promoting"} 0
canaryrollout_state{name="reviews",namespace="bookinfo",state="Terminating"} 0
`, prefix+"desired_weight_percent", prefix+"verified_weight_percent", prefix+"state", prefix+"transition_timestamp_seconds")
	for name, sum := range map[string]string{
		`canaryrollout_step_duration_seconds_sum{name="reviews",namespace="bookinfo",outcome="Completed"}`:     "20",
		`canaryrollout_release_duration_seconds_sum{name="reviews",namespace="bookinfo",outcome="Promoted"}`:   "50",
		`canaryrollout_step_duration_seconds_count{name="reviews",namespace="bookinfo",outcome="Completed"}`:   "1",
		`canaryrollout_release_duration_seconds_count{name="reviews",namespace="bookinfo",outcome="Promoted"}`: "1",
	} {
		if line := name + " " + sum; !strings.Contains(exposed(t), line) {
			t.Errorf("%s is missing in:\n%s", line, exposed(t))
		}
	}
}

// TestAnalysis: a rollout has series about its analysis for as long as it has one.
func TestAnalysis(t *testing.T) {
	r := rollout("reviews", v1alpha1.StatePaused, 0, 0, nil)
	for name, tc := range map[string]struct {
		conditions []metav1.Condition
		want       string
	}{
		"no analysis": {nil, ""},
		"measured": {[]metav1.Condition{{Type: v1alpha1.ConditionMeasured, Status: metav1.ConditionTrue}}, `
# HELP canaryrollout_inconclusive 1 while an analysis step has ended without a verdict and waits, 0 otherwise. There only with an analysis.
# TYPE canaryrollout_inconclusive gauge
canaryrollout_inconclusive{name="reviews",namespace="bookinfo"} 0
# HELP canaryrollout_measured 1 while every metric of the analysis can be measured, 0 otherwise. There only with an analysis.
# TYPE canaryrollout_measured gauge
canaryrollout_measured{name="reviews",namespace="bookinfo"} 1
`},
		"inconclusive, and no data": {[]metav1.Condition{
			{Type: v1alpha1.ConditionMeasured, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoData},
			{Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonInconclusive},
		}, `
# HELP canaryrollout_inconclusive 1 while an analysis step has ended without a verdict and waits, 0 otherwise. There only with an analysis.
# TYPE canaryrollout_inconclusive gauge
canaryrollout_inconclusive{name="reviews",namespace="bookinfo"} 1
# HELP canaryrollout_measured 1 while every metric of the analysis can be measured, 0 otherwise. There only with an analysis.
# TYPE canaryrollout_measured gauge
canaryrollout_measured{name="reviews",namespace="bookinfo"} 0
`},
	} {
		t.Run(name, func(t *testing.T) {
			r.Status.Conditions = tc.conditions
			export(t, r)
			compare(t, tc.want, prefix+"measured", prefix+"inconclusive")
		})
	}
}

// TestRecordDropped counts what a pass drops. A rollout without notifications has no series.
func TestRecordDropped(t *testing.T) {
	t.Cleanup(func() { Forget(types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}) })
	with := func(notifications *v1alpha1.NotificationsMemory) *v1alpha1.CanaryRollout {
		r := rollout("reviews", v1alpha1.StateHealthy, 0, 0, nil)
		r.Status.Memory = &v1alpha1.Memory{Notifications: notifications}
		return r
	}
	none, two, five := with(nil), with(&v1alpha1.NotificationsMemory{Dropped: 2}), with(&v1alpha1.NotificationsMemory{Dropped: 5})
	Record(none, none)
	compare(t, "", prefix+"notifications_dropped_total")
	for _, r := range []*v1alpha1.CanaryRollout{two, five} {
		Record(none, r)
		none = r
	}
	Record(five, five)
	compare(t, `
# HELP canaryrollout_notifications_dropped_total Notifications that were dropped because too many waited for a sink.
# TYPE canaryrollout_notifications_dropped_total counter
canaryrollout_notifications_dropped_total{name="reviews",namespace="bookinfo"} 5
`, prefix+"notifications_dropped_total")
}

// exposed returns what Prometheus would scrape.
func exposed(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, collector := range []prometheus.Collector{stepDuration, releaseDuration} {
		text, err := testutil.CollectAndFormat(collector, expfmt.TypeTextPlain,
			prefix+"step_duration_seconds", prefix+"release_duration_seconds")
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// gathered returns the number of series of a metric.
func gathered(t *testing.T, name string) int {
	t.Helper()
	count, err := testutil.GatherAndCount(metrics.Registry, prefix+name)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// TestRecordFirstPass checks that a new object has series, but none for unknown times.
func TestRecordFirstPass(t *testing.T) {
	fresh := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "fresh"}}
	t.Cleanup(func() { Forget(types.NamespacedName{Namespace: "bookinfo", Name: "fresh"}) })
	Record(fresh, fresh)
	export(t, fresh)
	for name, want := range map[string]int{
		"state": len(states), "desired_weight_percent": 1, "traffic_verified": 1, "state_entered_timestamp_seconds": 0,
		"pause_ends_timestamp_seconds": 0, "transition_timestamp_seconds": 0, "step_duration_seconds": 0,
	} {
		if got := gathered(t, name); got != want {
			t.Errorf("%d series of %s, want %d", got, name, want)
		}
	}
}

// complete creates series in every collector that stores them: a step and a release that ended, and notifications. It returns a
// rollout with all gauges: it has an analysis, and is in a pause that will end.
func complete(name string) *v1alpha1.CanaryRollout {
	ended, until := metav1.NewTime(at(50)), metav1.NewTime(at(90))
	first := rollout(name, v1alpha1.StateProgressing, 0, 0, nil)
	last := rollout(name, v1alpha1.StatePaused, 1, 20, &ended)
	last.Status.Memory.Notifications = &v1alpha1.NotificationsMemory{Dropped: 2}
	last.Status.Pause = &v1alpha1.PauseStatus{Until: &until}
	last.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, LastTransitionTime: ended}, {Type: v1alpha1.ConditionMeasured, Status: metav1.ConditionTrue},
	}
	Record(first, last)
	return last
}

// TestForget checks that all series of a deleted object are deleted, and those of others are kept.
func TestForget(t *testing.T) {
	gone, other := types.NamespacedName{Namespace: "bookinfo", Name: "gone"}, types.NamespacedName{Namespace: "bookinfo", Name: "other"}
	t.Cleanup(func() { Forget(other) })
	complete(gone.Name)
	complete(other.Name)
	before := map[prometheus.Collector]int{}
	for _, collector := range all {
		before[collector] = testutil.CollectAndCount(collector)
	}
	Forget(gone)
	for _, collector := range all {
		if got, had := testutil.CollectAndCount(collector), before[collector]; had == 0 || 2*got != had {
			t.Errorf("%d series of two objects, and %d of one", had, got)
		}
	}
}

// TestLint checks the Prometheus conventions for names, types and help texts.
func TestLint(t *testing.T) {
	t.Cleanup(func() { Forget(types.NamespacedName{Namespace: "bookinfo", Name: "linted"}) })
	export(t, complete("linted"))
	if n := testutil.CollectAndCount(rollouts); n != 8+len(states) {
		t.Errorf("%d gauges", n)
	}
	for _, collector := range all {
		problems, err := testutil.CollectAndLint(collector)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range problems {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	problems, err := testutil.GatherAndLint(metrics.Registry)
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, prefix) {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
