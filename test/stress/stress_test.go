// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

const (
	// rate is 200 requests per second, with those of the stable-only rule.
	rate = 172
	// settle is the app's settleSeconds: by then after it has reported something, the gateway has to do it.
	settle = time.Second
	// grace is how long pods outlive their deletion: longer than endpoints are late, also when that is late itself by a
	// short outage of the API server. With less, nobody could keep requests from a pod that is scaled away.
	grace = 15
)

// steps have header routes, weights that stand long enough to be measured, and pauses of every kind.
func steps() []v1alpha1.Step {
	return []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.HoldAtMost(8*time.Second, v1alpha1.TimeoutPromote),
		builder.Weight(20), builder.Pause(4 * time.Second), builder.Weight(50), builder.Hold(),
		builder.Weight(80), builder.Pause(4 * time.Second),
	}
}

func TestStress(t *testing.T) {
	if len(runs()) == 0 {
		t.Skip("takes minutes: make test-stress")
	}
	kill := env.Supervise(t)
	for _, r := range runs() {
		// Not in the test's log alone, which is lost when the time is up.
		fmt.Printf("stress: seed %d for %s\n", r.seed, r.duration)
		t.Run(fmt.Sprintf("seed-%d-%s", r.seed, r.duration), func(t *testing.T) {
			d := start(t, r, kill)
			d.play()
			d.calm()
			d.judge()
		})
	}
}

// start deploys the app of a run.
func start(t *testing.T, r run, kill func()) *driver {
	t.Helper()
	d := &driver{t: t, run: r, steps: script.Draw(r.seed, r.duration), kill: kill}
	d.App = app.Start(t, env, app.Options{Steps: steps(), Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
		r.Spec.Template.Spec.TerminationGracePeriodSeconds = ptr.To[int64](grace)
		r.Spec.RevisionHistoryLimit = ptr.To[int32](2) // so that ReplicaSets are deleted, and made anew
	}})
	d.began = time.Now()
	t.Cleanup(d.report)
	return d
}

// judge stops the requests, and holds all of them against the rules.
func (d *driver) judge() {
	d.t.Helper()
	until := time.Now()
	d.CheckLoss(d.excuses...)
	all := func(load.Result) bool { return true }
	evidence := rules.Evidence{
		Moments: d.Moments(), Traffic: d.Traffic.Results(all), StableOnly: d.StableOnly.Results(all), Killed: d.killed,
		Lag: app.Propagation + settle, Until: until,
	}
	evidence.Foreign = rules.PutRight(d.writes, d.Audited(d.began), evidence.Moments, d.late)
	d.logRepairs(evidence.Foreign)
	strays := evidence.Strays()
	for _, stray := range strays[:min(len(strays), 20)] {
		d.t.Errorf("stray: %s", stray)
	}
	if len(strays) > 20 {
		d.t.Errorf("and %d more strays", len(strays)-20)
	}
	d.checkShares(evidence.Shares())
}

func (d *driver) checkShares(shares []rules.Share) {
	d.t.Helper()
	for _, share := range shares {
		if share.Fits() {
			d.t.Logf("share: %s", share)
		} else {
			d.t.Errorf("share: %s", share)
		}
	}
	if len(shares) == 0 {
		d.t.Error("no weight stood long enough to be measured")
	}
}

// logRepairs says how long wrong weights and selectors were in force.
func (d *driver) logRepairs(all []rules.Foreign) {
	for _, resource := range []string{rules.Routes, rules.Services} {
		var took []time.Duration
		for _, foreign := range all {
			if foreign.Resource == resource && foreign.Took > 0 {
				took = append(took, foreign.Took.Round(time.Millisecond))
			}
		}
		slices.Sort(took)
		if len(took) > 0 {
			d.t.Logf("%s were wrong for %s in the median, %s at most, with the operator dead or cut off for a part of it; all: %s",
				resource, took[len(took)/2], took[len(took)-1], took)
		}
	}
}

// report is what a person needs who looks into a failed run.
func (d *driver) report() {
	if !d.t.Failed() {
		return
	}
	d.t.Logf("to do it again: go test ./test/stress -count=1 -timeout=60m -seed=%d -duration=%s", d.seed, d.duration)
	for _, line := range d.done {
		d.t.Logf("did: %s", line)
	}
	moments := d.Moments()
	for _, moment := range moments[max(0, len(moments)-60):] {
		d.t.Logf("status: %s", d.describe(moment))
	}
}

// describe says where a rollout stood, by the clock of the requests and of the script.
func (d *driver) describe(moment app.Moment) string {
	s := moment.Status
	text := fmt.Sprintf("%s %s %s", moment.At.Format("15:04:05.000"), d.clock(moment.At), s.State)
	if m := s.Memory; m != nil {
		text += fmt.Sprintf(" %s step %s, weight %d headers %t verified %t, stable %s current %s aborted %q, "+
			"Services %s ready %t and %s ready %t",
			m.Phase, s.Step, m.Traffic.Weight, m.Traffic.HeaderRoutes, m.Traffic.VerifiedAt != nil,
			m.StableRevision, m.CurrentRevision, m.AbortedRevision,
			m.StableService.Revision, m.StableService.ReadyAt != nil, m.CanaryService.Revision, m.CanaryService.ReadyAt != nil)
	}
	return text + ": " + s.Message
}
