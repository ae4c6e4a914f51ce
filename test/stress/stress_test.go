// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

const (
	// rate makes 200 requests per second together with those of the stable-only rule.
	rate = 172
	// lag is how long after a recorded status the gateway may still answer as before. On a busy machine a request may
	// take some of that time itself.
	lag = harness.Settle + 400*time.Millisecond
	// behind is the strict gateway's lag, for routes after the report, and for endpoints.
	behind = harness.Settle / 2
	// grace is how long pods live after their deletion: longer than endpoints are late, even together with a short
	// outage of the API server. With less, requests to a pod that is scaled down could not be avoided.
	grace = 15
)

// appSteps have header routes, weights that last long enough to be measured, and pauses of every kind. Behind the
// strict gateway, where everything takes longer, the first weight comes sooner, together with a mirror.
func (r run) appSteps() []v1alpha1.Step {
	first := []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.HoldAtMost(8*time.Second, v1alpha1.TimeoutPromote),
		builder.Weight(20), builder.Pause(4 * time.Second),
	}
	if r.isStrict() {
		first = []v1alpha1.Step{
			builder.Mirror(30), builder.HeaderRoute("qa", "role", "qa"), builder.Weight(20), builder.Pause(6 * time.Second), builder.Mirror(0),
		}
	}
	return append(first, builder.Weight(50), builder.Hold(), builder.Weight(80), builder.Pause(4*time.Second))
}

func TestStress(t *testing.T) {
	kill := env.Supervise(t)
	shares := 0
	for _, r := range runs() {
		// Also outside the test's log, which is lost on a timeout.
		fmt.Printf("stress: seed %d for %s\n", r.seed, r.duration)
		t.Run(fmt.Sprintf("seed-%d-%s", r.seed, r.duration), func(t *testing.T) {
			d := start(t, r, kill)
			d.play()
			d.calm()
			shares += d.check()
		})
	}
	if shares == 0 && *seedFlag == 0 {
		t.Error("no weight stood long enough to be measured")
	}
}

// start deploys the app of a run.
func start(t *testing.T, r run, kill func()) *driver {
	t.Helper()
	d := &driver{t: t, run: r, steps: script.Draw(r.seed, r.duration), kill: kill}
	options := harness.Options{Steps: r.appSteps(), Rate: rate, Edit: func(r *v1alpha1.CanaryRollout) {
		builder.GracePeriod(r, grace)
		r.Spec.RevisionHistoryLimit = ptr.To[int32](2) // so that ReplicaSets are deleted and recreated
		if d.strict != nil {
			r.Spec.Traffic.Probe = &v1alpha1.Probe{
				URL: "http://" + d.strict.Address() + "/reviews/0", Host: harness.NamespaceOf(t) + ".example.com", RevisionHeader: backend.RevisionHeader,
			}
			return
		}
		judge(r)
	}}
	if r.isStrict() {
		d.strict = harness.StartGateway(t, env, fakegateway.Behaviour{RouteLag: behind, EndpointLag: behind})
		options = harness.Behind(d.strict, options)
	}
	d.App = harness.Start(t, env, options)
	d.addSecondRoute()
	d.began = time.Now()
	t.Cleanup(d.report)
	return d
}

// check stops the requests, and checks all of them against the rules. It returns how many weights other than 0 were
// measured.
func (d *driver) check() (measured int) {
	d.t.Helper()
	until := time.Now()
	if d.strict == nil {
		d.excuses = append(d.excuses, harness.BadVersion(""))
		d.checkVerdicts()
	}
	d.CheckLoss(d.excuses...)
	copies := d.copies()
	d.CheckFailures(slices.DeleteFunc(slices.Clone(copies), func(r load.Result) bool { return r.Err == nil }), d.excuses...)
	all := func(load.Result) bool { return true }
	evidence := rules.Evidence{
		Moments: d.Moments(), Traffic: d.Traffic.Results(all), StableOnly: d.StableOnly.Results(all), Copies: copies,
		Killed: d.killed, Lag: lag, Until: until,
	}
	evidence.Foreign = rules.InForce(d.writes, d.Audited(d.began), evidence.Moments, d.late)
	if d.strict != nil {
		for i := range evidence.Foreign {
			evidence.Foreign[i].To = evidence.Foreign[i].To.Add(behind)
		}
	}
	d.logRepairs(evidence.Foreign)
	strays := evidence.Strays()
	for _, stray := range strays[:min(len(strays), 20)] {
		d.t.Errorf("stray: %s", stray)
	}
	if len(strays) > 20 {
		d.t.Errorf("and %d more strays", len(strays)-20)
	}
	return d.checkShares(evidence.Shares())
}

// copies returns the requests that the strict gateway has sent to a mirror.
func (d *driver) copies() (all []load.Result) {
	d.t.Helper()
	if d.strict == nil {
		return nil
	}
	for _, made := range d.strict.Copies() {
		ip, _, _ := strings.Cut(made.Address, ":")
		result := load.Result{
			ID: made.ID, Start: made.Start, Duration: made.Duration, Stream: "copies", Status: made.Status, Err: made.Err,
			Pod: env.Pods.PodAt(ip), PodIP: ip, Revision: made.Header.Get(backend.RevisionHeader),
		}
		if made.Err == nil && result.Status != http.StatusOK {
			result.Err = fmt.Errorf("status %d", result.Status)
		}
		all = append(all, result)
	}
	d.t.Logf("%d requests were copied", len(all))
	if len(all) == 0 {
		d.t.Error("no request was copied")
	}
	return all
}

func (d *driver) checkShares(shares []rules.Share) (measured int) {
	d.t.Helper()
	for _, share := range shares {
		if share.Weight > 0 {
			measured++
		}
		if share.Fits() {
			d.t.Logf("share: %s", share)
		} else {
			d.t.Errorf("share: %s", share)
		}
	}
	return measured
}

// logRepairs logs how long wrong weights and selectors were in force.
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
			d.t.Logf("%s were wrong for a median of %s and a maximum of %s, including times without an operator; all: %s",
				resource, took[len(took)/2], took[len(took)-1], took)
		}
	}
}

// report logs what is needed to investigate a failed run.
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

// describe formats a rollout's status, with the time in the clocks of the requests and of the script.
func (d *driver) describe(moment harness.Moment) string {
	s := moment.Status
	text := fmt.Sprintf("%s %s %s", moment.At.Format("15:04:05.000"), d.clock(moment.At), s.State)
	if m := s.Memory; m != nil {
		text += fmt.Sprintf(" %s step %s, weight %d headers %t mirror %d verified %t, stable %s current %s aborted %q, "+
			"Services %s ready %t and %s ready %t",
			m.Phase, s.Step, m.Traffic.Weight, m.Traffic.HeaderRoutesActive, m.Traffic.MirrorPercent,
			m.Traffic.VerifiedAt != nil, m.StableRevision, m.CurrentRevision, m.AbortedRevision,
			m.StableService.Revision, m.StableService.ReadyAt != nil, m.CanaryService.Revision, m.CanaryService.ReadyAt != nil)
	}
	return text + ": " + s.Message
}
