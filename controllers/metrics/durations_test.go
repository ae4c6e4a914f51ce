// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestTimes checks when a state began and when a pause ends, for alerts on rollouts that take too long.
func TestTimes(t *testing.T) {
	changed := func(kind string, seconds int) metav1.Condition {
		return metav1.Condition{Type: kind, LastTransitionTime: metav1.NewTime(at(seconds))}
	}
	until := metav1.NewTime(at(600))
	for name, tc := range map[string]struct {
		edit        func(r *v1alpha1.CanaryRollout)
		since, ends float64
	}{
		"the last change counts": {func(r *v1alpha1.CanaryRollout) {
			r.Status.Conditions = []metav1.Condition{changed("Ready", 1), changed("Paused", 30), changed("Stalled", 20), changed("TrafficRouted", 99)}
		}, 30, 0},
		"a step changes no state": {func(r *v1alpha1.CanaryRollout) {
			r.Status.Conditions, r.Status.Memory.TransitionedAt = []metav1.Condition{changed("Ready", 1)}, &metav1.MicroTime{Time: at(40)}
		}, 1, 0},
		"a promotion does": {func(r *v1alpha1.CanaryRollout) {
			r.Status.Conditions, r.Status.Memory.Phase = []metav1.Condition{changed("Ready", 1)}, v1alpha1.PhasePromoting
			r.Status.Memory.TransitionedAt = &metav1.MicroTime{Time: at(40)}
		}, 40, 0},
		"a deletion": {func(r *v1alpha1.CanaryRollout) {
			asked := metav1.NewTime(at(70))
			r.Status.State, r.DeletionTimestamp = v1alpha1.StateTerminating, &asked
		}, 70, 0},
		"a pause that ends": {func(r *v1alpha1.CanaryRollout) {
			r.Status.Conditions, r.Status.Pause = []metav1.Condition{changed("Paused", 5)}, &v1alpha1.PauseStatus{Until: &until}
		}, 5, 600},
		"a pause that does not": {func(r *v1alpha1.CanaryRollout) {
			r.Status.Conditions, r.Status.Pause = []metav1.Condition{changed("Paused", 5)}, &v1alpha1.PauseStatus{}
		}, 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := rollout("timed", v1alpha1.StatePaused, 0, 0, nil)
			tc.edit(r)
			export(t, r)
			if got := value(t, "state_entered_timestamp_seconds") - seconds(born); got != tc.since {
				t.Errorf("in its state since %v, want %v", got, tc.since)
			}
			if tc.ends == 0 {
				if n := gathered(t, "pause_ends_timestamp_seconds"); n != 0 {
					t.Errorf("%d pauses that end", n)
				}
			} else if got := value(t, "pause_ends_timestamp_seconds") - seconds(born); got != tc.ends {
				t.Errorf("the pause ends at %v, want %v", got, tc.ends)
			}
		})
	}
}

// value returns the value of a gauge of the only rollout.
func value(t *testing.T, name string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == prefix+name && len(family.GetMetric()) == 1 {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is not one series of %s", name)
	return 0
}

// TestStepOutcomes checks the outcomes of steps, and that a step that continues or starts over has none.
func TestStepOutcomes(t *testing.T) {
	ended := metav1.NewTime(at(50))
	promotes := func(s *v1alpha1.CanaryRolloutStatus) { s.Memory.Phase = v1alpha1.PhasePromoting }
	for name, tc := range map[string]struct {
		before, after int32
		edit          func(s *v1alpha1.CanaryRolloutStatus)
		want          string
		command       v1alpha1.Command
	}{
		"goes on":                       {1, 1, func(*v1alpha1.CanaryRolloutStatus) {}, "", ""},
		"the next one":                  {0, 1, func(*v1alpha1.CanaryRolloutStatus) {}, "Completed", ""},
		"the last one":                  {2, 3, func(*v1alpha1.CanaryRolloutStatus) {}, "Completed", ""},
		"the last one, and a promotion": {2, 3, promotes, "Completed", ""},
		"promoted":                      {1, 2, func(*v1alpha1.CanaryRolloutStatus) {}, "Completed", v1alpha1.CommandPromote},
		"all are done":                  {3, 3, promotes, "", ""},
		"steps edited":                  {2, 0, func(*v1alpha1.CanaryRolloutStatus) {}, "", ""},
		"steps edited, and a step":      {0, 1, func(s *v1alpha1.CanaryRolloutStatus) { s.Memory.StepsHash = "edited" }, "", ""},
		"skipped":                       {0, 3, promotes, "Skipped", v1alpha1.CommandPromoteFull},
		"aborted":                       {1, 1, leaving(v1alpha1.OutcomeAborted, ended), "Aborted", ""},
		"superseded":                    {1, 1, leaving(v1alpha1.OutcomeSuperseded, ended), "Superseded", ""},
		"another release":               {1, 0, func(s *v1alpha1.CanaryRolloutStatus) { s.Memory.CurrentRevision = "ccc" }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { Forget(types.NamespacedName{Namespace: "bookinfo", Name: "stepping"}) })
			before := rollout("stepping", v1alpha1.StateProgressing, tc.before, 0, nil)
			if tc.command != "" {
				before.Status.Memory.Command = &v1alpha1.CommandMemory{Command: tc.command}
			}
			after := rollout("stepping", v1alpha1.StateProgressing, tc.after, 20, nil)
			tc.edit(&after.Status)
			Record(before, after)
			want := 0
			if tc.want != "" {
				want = 1
			}
			if n := testutil.CollectAndCount(stepDuration); n != want {
				t.Fatalf("%d durations, want %d", n, want)
			}
			if label := `outcome="` + tc.want + `"`; want == 1 && !strings.Contains(exposed(t), label) {
				t.Errorf("no %s in:\n%s", label, exposed(t))
			}
		})
	}
}

// leaving edits a status to roll back from a release with that outcome.
func leaving(outcome v1alpha1.Outcome, ended metav1.Time) func(s *v1alpha1.CanaryRolloutStatus) {
	return func(s *v1alpha1.CanaryRolloutStatus) {
		s.Memory.Phase = v1alpha1.PhaseRollingBack
		s.History[0].Outcome, s.History[0].EndedAt = outcome, &ended
	}
}
