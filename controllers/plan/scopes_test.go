// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"flag"
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// deployed is an idle world with revision a. The user is about to apply revision b.
func deployed(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	return deploy(t, newWorld(2, steps...))
}

func deploy(t *testing.T, w *world) *world {
	t.Helper()
	for range 20 {
		w.reconcile()
		w.settleAll()
		w.tick(w.now.Add(time.Minute))
	}
	if w.status.State != v1alpha1.StateHealthy {
		t.Fatalf("%s: %s", w.status.State, w.status.Message)
	}
	w.template = revB
	return w
}

// withTwoRoutes is deployed, and both routes have to carry what is asked for.
func withTwoRoutes(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.routeCount = 2
	w.spec.Traffic.Routes = bothRoutes
	return deploy(t, w)
}

// unversioned is deployed behind a gateway that reports no generation.
func unversioned(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.unversioned = true
	return deploy(t, w)
}

// refusing is deployed behind a gateway that refuses routes with mirrors.
func refusing(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := deployed(t, steps...)
	w.refusesMirrors = true
	return w
}

// impatient is deployed, and aborts when a weight takes more than ten seconds to be verified.
func impatient(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.spec.Traffic.VerifyTimeoutSeconds, w.spec.Traffic.OnVerifyTimeout = ptr.To[int32](10), v1alpha1.VerifyTimeoutAbort
	return deploy(t, w)
}

// undeployed is a world before the first deploy.
func undeployed(_ *testing.T, steps ...v1alpha1.Step) *world { return newWorld(2, steps...) }

// atPause is deployed, and revision b has come to the pause at the end of the steps.
func atPause(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := deployed(t, steps...)
	for range 20 {
		w.reconcile()
		w.settleAll()
		w.tick(w.now.Add(time.Minute))
	}
	if w.status.State != v1alpha1.StatePaused {
		t.Fatalf("%s: %s", w.status.State, w.status.Message)
	}
	return w
}

// late is deployed, and the status of its ReplicaSets comes later than their pods.
func late(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
	w.lagging = true
	return deploy(t, w)
}

// migrating is a world in which pods of others serve, and a rollout of revision a comes up next to them.
func migrating(_ *testing.T, steps ...v1alpha1.Step) *world {
	w := newWorld(2, steps...)
	migrate(w)
	return w
}

var deep = flag.Bool("deep", false, "walk the scopes that take minutes, too")

// TestModel walks the scopes that take seconds, and with -deep those that take many minutes.
func TestModel(t *testing.T) { walkScopes(t, false) }

// TestModelLong walks the scopes with half a million worlds and more.
func TestModelLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	walkScopes(t, true)
}

func walkScopes(t *testing.T, long bool) {
	t.Helper()
	scopes := []struct {
		name                              string
		first                             func(*testing.T, ...v1alpha1.Step) *world // deployed, if it does not say otherwise
		steps                             []v1alpha1.Step
		user, deaths, crashes, edits, max int
		complaints, troubles, jumps       int
		answers                           int
		moves                             []move // instead of those of the user and accidents
		probe, long, deep                 bool
	}{
		{name: "first deploy", first: undeployed, complaints: 1, max: 1_000_000},
		{name: "first deploy and a user", first: undeployed, user: 1, max: 1_000_000, deep: true},
		{name: "first deploy and sick pods", first: undeployed, deaths: 1, max: 20_000_000, deep: true},
		{name: "migration", first: migrating, max: 1_000_000},
		{name: "migration and sick pods", first: migrating, deaths: 1, max: 20_000_000, deep: true},
		{name: "a user", steps: []v1alpha1.Step{headerStep(), pause(0), weight(50)}, user: 1, max: 2_000_000},
		{name: "a user and a crash", steps: []v1alpha1.Step{weight(50)}, user: 1, crashes: 1, max: 2_000_000, long: true},
		{name: "commands and a write that fails", steps: []v1alpha1.Step{pause(0), pause(0)}, moves: slices.Concat(only(userMoves(), "user: promote=true", "user: abort=true"), accidents()),
			user: 1, edits: 1, crashes: 1, max: 2_000_000},
		{name: "sick stable or dying canary", steps: []v1alpha1.Step{headerStep(), weight(50)}, deaths: 1, max: 2_000_000},
		{name: "a weight that falls", steps: []v1alpha1.Step{weight(100), weight(50), pause(0)}, max: 2_000_000},
		{name: "a mirror that ends", steps: []v1alpha1.Step{weight(50), mirrorStep(50), mirrorStep(0), pause(0)}, max: 2_000_000},
		{name: "a canary that restarts", steps: []v1alpha1.Step{canaryScale(1), pause(0), weight(50), pause(0)},
			moves: slices.Concat(only(userMoves(), "user: promote=true"), only(accidents(), "pods of b die")), user: 1, deaths: 1, max: 2_000_000},
		{name: "a mirror and a user", steps: []v1alpha1.Step{mirrorStep(20), pause(0)}, user: 1, max: 2_000_000},
		{name: "a mirror and sick pods", steps: []v1alpha1.Step{mirrorStep(20), pause(0)}, deaths: 1, max: 2_000_000},
		{name: "a mirror beside a weight", steps: []v1alpha1.Step{mirrorStep(20), weight(50)}, user: 1, max: 2_000_000, deep: true},
		{name: "a user and sick pods", steps: []v1alpha1.Step{weight(50)}, user: 1, deaths: 1, max: 20_000_000, deep: true},
		{name: "both sick", steps: []v1alpha1.Step{weight(50)}, deaths: 2, max: 20_000_000, deep: true},
		{name: "a crash and sick pods", steps: []v1alpha1.Step{weight(50)}, deaths: 1, crashes: 1, max: 20_000_000, deep: true},
		{name: "a user and other writers", steps: []v1alpha1.Step{weight(50)}, user: 1, edits: 1, max: 20_000_000, deep: true},
		{name: "two routes and a crash", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50)}, crashes: 1, max: 2_000_000},
		{name: "two routes and a gateway that complains", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50)}, complaints: 2, max: 2_000_000},
		{name: "two routes and a user", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50)}, user: 1, max: 20_000_000, deep: true},
		{name: "a route that leaves", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat(editsRoutes(), only(userMoves(), "user: promote=true", "user: abort=true")), user: 2, max: 2_000_000},
		{name: "a route that leaves and sick pods", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50)},
			moves: slices.Concat(editsRoutes(), accidents()), user: 1, deaths: 1, max: 20_000_000, deep: true},
		{name: "a route that leaves and a crash", first: withTwoRoutes, steps: []v1alpha1.Step{weight(50)},
			moves: slices.Concat(editsRoutes(), accidents()), user: 1, crashes: 1, max: 20_000_000, deep: true},
		{name: "a gateway that takes too long", first: impatient, steps: []v1alpha1.Step{weight(50)}, complaints: 1, max: 2_000_000},
		{name: "a gateway that refuses a mirror", first: refusing, steps: []v1alpha1.Step{mirrorStep(20), weight(50), pause(0)},
			moves: slices.Concat(userMoves(), []move{editsSteps(weight(50), pause(0))}), user: 1, max: 2_000_000},
		{name: "a gateway that names no generation", first: unversioned, steps: []v1alpha1.Step{weight(50)}, user: 1, max: 2_000_000},
		{name: "a probe and a user", steps: []v1alpha1.Step{weight(50), pause(0)}, user: 1, max: 2_000_000, probe: true},
		{name: "a probe and sick pods", steps: []v1alpha1.Step{weight(50), pause(0)}, deaths: 1, max: 2_000_000, probe: true},
		{name: "a probe and a crash", steps: []v1alpha1.Step{weight(100), weight(50)}, crashes: 1, max: 2_000_000, probe: true},
		{name: "a probe and a migration", first: migrating, max: 2_000_000, probe: true},
		{name: "a probe that takes too long", first: impatient, steps: []v1alpha1.Step{weight(50)}, max: 2_000_000, probe: true},
		{name: "a probe and a gateway that complains", steps: []v1alpha1.Step{weight(50)},
			moves: only(accidents(), "somebody swaps the weights", "gateway complains of "+routeName(0)), edits: 1, complaints: 1, max: 2_000_000, probe: true},
		{name: "a probe and a user in promotion", steps: []v1alpha1.Step{weight(50)}, user: 1, max: 2_000_000, probe: true, deep: true},
		{name: "a probe and sick pods in promotion", steps: []v1alpha1.Step{weight(50)}, deaths: 1, max: 2_000_000, probe: true, deep: true},
		{name: "a gate", steps: []v1alpha1.Step{weight(50), gateStep(""), pause(0)}, moves: []move{}, answers: 3, max: 2_000_000},
		{name: "a gate and a user", first: atItsGate, steps: []v1alpha1.Step{weight(50), gateStep(""), pause(0)},
			moves: only(userMoves(), "user: applies c", "user: abort=true", "user: promote=true"), user: 1, answers: 1, max: 2_000_000},
		{name: "a gate, a bake and a user", first: atItsGateBeforeBake, steps: []v1alpha1.Step{weight(50), gateStep("")},
			moves: only(userMoves(), "user: abort=true", "user: promote=true", "user: promote=full"), user: 1, answers: 1, max: 2_000_000},
		{name: "a background", first: judged, steps: []v1alpha1.Step{weight(50), gateStep("")}, moves: []move{}, answers: 1, max: 2_000_000},
		{name: "a gate and any user", first: judged, steps: []v1alpha1.Step{weight(50), gateStep(""), pause(0)}, user: 1, answers: 1, max: 2_000_000, deep: true},
		{name: "a gate and a gateway that complains", first: atItsGate, steps: []v1alpha1.Step{weight(50), gateStep(v1alpha1.InconclusiveAbort), pause(0)},
			moves: only(accidents(), "gateway complains of "+routeName(0)), complaints: 1, answers: 1, max: 2_000_000},
		{name: "a gate and sick pods", first: atItsGate, steps: []v1alpha1.Step{weight(50), gateStep(""), pause(0)}, deaths: 1, answers: 1, max: 2_000_000, long: true},
		{name: "a gate and a crash", steps: []v1alpha1.Step{weight(50), gateStep(""), pause(0)}, crashes: 1, answers: 2, max: 2_000_000},
		{name: "a bad version", first: bad, steps: []v1alpha1.Step{weight(50), gateStep("")}, moves: only(userMoves(), "user: retry=true"),
			user: 1, answers: 1, max: 2_000_000},
		{name: "a bake", first: baked, steps: []v1alpha1.Step{weight(50)}, moves: []move{}, answers: 1, max: 2_000_000},
		{name: "a bake and a user", first: baked, steps: []v1alpha1.Step{weight(50)}, user: 1, max: 2_000_000, deep: true},
		{name: "a bake and sick pods", first: baked, steps: []v1alpha1.Step{weight(50)}, deaths: 1, max: 20_000_000, deep: true},
		{name: "a problem", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat(troubles(), only(userMoves(), "user: abort=true")), user: 1, troubles: 1, max: 2_000_000},
		{name: "a problem in a promotion", steps: []v1alpha1.Step{weight(50)}, moves: troubles(), troubles: 1, max: 20_000_000, deep: true},
		{name: "another size", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat(scales(0, 1, 4), only(userMoves(), "user: abort=true")), user: 2, max: 2_000_000, long: true},
		{name: "another size in a promotion", steps: []v1alpha1.Step{weight(50)}, moves: scales(0, 1, 4), user: 2, max: 20_000_000, deep: true},
		{name: "spec.paused", steps: []v1alpha1.Step{weight(50), pause(0)}, moves: slices.Concat(pauses(), only(userMoves(), "user: abort=true")),
			user: 2, max: 2_000_000},
		{name: "other steps", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: []move{editsSteps(weight(100), weight(25), pause(0)), editsSteps()}, user: 1, max: 2_000_000},
		{name: "a pinned size", steps: []v1alpha1.Step{pinnedScale(1), weight(100), pinnedScale(2), weight(50), pause(0)},
			moves: only(userMoves(), "user: promote=true", "user: abort=true"), user: 1, max: 2_000_000},
		{name: "a canary that dies and a selector that is stripped", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: only(accidents(), "pods of b die", "somebody strips the canary selector"), deaths: 1, edits: 1, max: 2_000_000},
		{name: "selectors that are changed twice", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat([]move{hijack()}, only(accidents(), "somebody strips the canary selector")), edits: 2, max: 2_000_000},
		{name: "a canary that dies twice", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: only(accidents(), "pods of b die"), deaths: 2, max: 2_000_000},
		{name: "a canary that dies again and again", steps: []v1alpha1.Step{weight(50), pause(0)}, moves: only(accidents(), "pods of b die"),
			deaths: 3, max: 20_000_000, deep: true},
		{name: "a clock that goes back", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat(jumps(-15*time.Minute), only(userMoves(), "user: abort=true")), user: 1, jumps: 1, max: 2_000_000},
		{name: "a clock that goes ahead", first: atPause, steps: []v1alpha1.Step{weight(50), pause(0)},
			moves: slices.Concat(jumps(24*time.Hour), only(userMoves(), "user: abort=true", "user: promote=true")), user: 1, jumps: 1, max: 2_000_000},
		{name: "a late status", first: late, steps: []v1alpha1.Step{weight(50), weight(100)}, deaths: 1, max: 20_000_000, deep: true},
		{name: "a late status at a pause", first: late, steps: []v1alpha1.Step{weight(50), pause(0)}, deaths: 1, max: 2_000_000},
		{name: "other writers and a crash", steps: []v1alpha1.Step{weight(50)}, edits: 1, crashes: 1, max: 2_000_000, long: true},
	}
	for _, scope := range scopes {
		if scope.long != long {
			continue
		}
		t.Run(scope.name, func(t *testing.T) {
			t.Parallel()
			if scope.deep && !*deep {
				t.Skip("takes minutes: go test -deep, or make test-long")
			}
			if scope.first == nil {
				scope.first = deployed
			}
			first := scope.first(t, scope.steps...)
			if first.spec.Traffic.VerifyTimeoutSeconds == nil {
				first.spec.Traffic.VerifyTimeoutSeconds = ptr.To[int32](3600) // which is never
			}
			first.userMoves, first.deaths, first.crashes, first.edits = scope.user, scope.deaths, scope.crashes, scope.edits
			first.complaints, first.troubles, first.jumps = scope.complaints, scope.troubles, scope.jumps
			if scope.moves == nil {
				scope.moves = slices.Concat(userMoves(), accidents())
			}
			if first.metricAnswers = scope.answers; scope.answers > 0 {
				scope.moves = append(scope.moves, metricAnswers()...)
			}
			if scope.probe {
				first.spec.Traffic.Probe = &v1alpha1.Probe{URL: "http://gateway/reviews", RevisionHeader: "X-Revision"}
			}
			start := time.Now()
			walk := explore(t, first, slices.Concat(environment(), scope.moves), scope.max)
			t.Logf("T1, T2, T3, T4, T9, P1, P2, P4-P8, M1-M5 hold after %s in %s", time.Since(start).Round(time.Millisecond), walk)
		})
	}
}
