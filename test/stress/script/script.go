// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package script draws what a stress run does to an app: operations of users, tools and accidents at random times. A
// script depends only on its seed and length, so that a failed run can be repeated.
package script

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Op is an operation.
type Op string

// The operations, with the meaning of the other fields of a Step.
const (
	Promote       Op = "promote"        // leave the current pause
	PromoteFull   Op = "promote-full"   // skip the remaining steps
	Abort         Op = "abort"          // with the reason What
	Retry         Op = "retry"          // the aborted revision
	Image         Op = "image"          // apply version Number
	Revert        Op = "revert"         // apply the stable template
	Scale         Op = "scale"          // to Number replicas
	EditRoute     Op = "edit-route"     // change the part What of the user's rule, to a value with Number
	ApplyRoute    Op = "apply-route"    // with the weights of Git, by the field manager What
	ApplyServices Op = "apply-services" // both, without the hash in their selectors
	KillOperator  Op = "kill-operator"  // by SIGKILL
	StopAPI       Op = "stop-api"       // the API server does not answer for a while
	LateEndpoints Op = "late-endpoints" // the EndpointSlice controller is paused for a while, and the script continues
	KillPod       Op = "kill-pod"       // kill a pod, chosen by Number, with the revision and the method in What
	EditTraffic   Op = "edit-traffic"   // add the second route to spec.traffic or remove it, as What says
	EditSteps     Op = "edit-steps"     // spec.steps mirror requests, or start with the end of all mirrors, as What says
	Autoscale     Op = "autoscale"      // to Number replicas, one at a time, as an autoscaler does
	Recreate      Op = "recreate"       // delete the rollout, leave its pods, and create it again
)

// The values of What.
const (
	EditHeader  = "header"
	EditTimeout = "timeout"
	EditMatch   = "match"

	// ForcedApply and ClientSideApply are the field managers of the two kinds of GitOps tools.
	ForcedApply     = "argocd-controller"
	ClientSideApply = "kubectl-client-side-apply"

	// A pod is deleted gracefully, vanishes, or fails its readiness probe for a while.
	KillDelete = "delete"
	KillCrash  = "crash"
	KillFail   = "fail"

	// The second route is in spec.traffic.routes or not.
	RouteIn  = "route-in"
	RouteOut = "route-out"

	// The steps are those of the app, or the same ones without the mirror.
	MirrorAsBefore = "as-before"
	MirrorOff      = "mirror-off"
)

const (
	shortestGap, longestGap = 300 * time.Millisecond, 4 * time.Second
	// shortOutage and longOutage are how long the API server is unavailable: the operator keeps its lease, or loses
	// it.
	shortOutage, longOutage = 5 * time.Second, 40 * time.Second
	// longestLateness is the maximum delay of endpoints.
	longestLateness = 5 * time.Second
	// soonestEdit and latestEdit bound the time between two operations that edit the rollout as a whole.
	soonestEdit, latestEdit = 5 * time.Second, 14 * time.Second
	// LongForm is the minimum length of a script that includes one long outage.
	LongForm = 5 * time.Minute
	// ShortForm is the length of each of the scripts that always run.
	ShortForm = 45 * time.Second
	// versions is the number of images.
	versions = 5
	// fewest and most bound the replicas: a pod that is killed must not be the only one.
	fewest, most = 2, 6
)

// Short are the seeds of the short form: together they cover every operation, and weights that last long enough to be
// measured. There are even and odd ones. A seed that has found a bug is added: 315 found a data race in the
// measurements of the probe.
var Short = []uint64{3498, 1599, 315}

// Step is one operation.
type Step struct {
	// At is the earliest time for it, from the start of the run. Earlier steps may take longer.
	At time.Duration
	Op Op
	// What, Number and For are described with the Op.
	What   string
	Number int
	For    time.Duration
}

// String formats the step for a person who repeats it by hand.
func (s Step) String() string {
	text := fmt.Sprintf("%6.1fs %s %s", s.At.Seconds(), s.Op, s.What)
	if s.Number > 0 {
		text += fmt.Sprintf(" %d", s.Number)
	}
	if s.For > 0 {
		text += fmt.Sprintf(" for %s", s.For.Round(time.Second/10))
	}
	return strings.Join(strings.Fields(text), " ")
}

// row is how often an operation is drawn, and how the rest of its step is drawn.
type row struct {
	op     Op
	weight int
	fill   func(*Step, *rand.Rand)
}

// edits change the rollout as a whole. They are drawn independently of the table, so that a kept seed still produces
// the same operations from the table.
var edits = []row{
	{EditTraffic, 5, func(s *Step, r *rand.Rand) { s.What = pick(r, RouteIn, RouteOut) }},
	{EditSteps, 4, func(s *Step, r *rand.Rand) { s.What = pick(r, MirrorAsBefore, MirrorOff) }},
	{Autoscale, 5, func(s *Step, r *rand.Rand) { s.Number = fewest + r.IntN(most-fewest+1) }},
	{Recreate, 2, nil},
}

// table holds the most frequent operations.
var table = []row{
	{Promote, 20, nil},
	{PromoteFull, 8, nil},
	{Abort, 6, func(s *Step, r *rand.Rand) { s.What = pick(r, "true", "too many errors") }},
	{Retry, 6, nil},
	{Image, 10, func(s *Step, r *rand.Rand) { s.Number = 1 + r.IntN(versions) }},
	{Revert, 3, nil},
	{Scale, 8, func(s *Step, r *rand.Rand) { s.Number = fewest + r.IntN(most-fewest+1) }},
	{EditRoute, 7, func(s *Step, r *rand.Rand) {
		s.What, s.Number = pick(r, EditHeader, EditTimeout, EditMatch), 1+r.IntN(9)
	}},
	{ApplyRoute, 8, func(s *Step, r *rand.Rand) { s.What = pick(r, ForcedApply, ClientSideApply) }},
	{ApplyServices, 4, nil},
	{KillOperator, 3, nil},
	{StopAPI, 3, func(s *Step, _ *rand.Rand) { s.For = shortOutage }},
	{LateEndpoints, 6, func(s *Step, r *rand.Rand) { s.For = between(r, time.Second, longestLateness) }},
	{KillPod, 7, func(s *Step, r *rand.Rand) {
		s.What = pick(r, "stable", "canary") + " " + pick(r, KillDelete, KillCrash, KillFail)
		s.Number = 1 + r.IntN(most)
	}},
}

// Draw returns the script of a seed. It starts with a release, because at rest there is little to disturb.
func Draw(seed uint64, length time.Duration) (steps []Step) {
	random := rand.New(rand.NewPCG(seed, 1))
	outage := length // never
	if length >= LongForm {
		outage = between(random, length/4, 3*length/4)
	}
	for at := between(random, shortestGap, longestGap); at < length; at += between(random, shortestGap, longestGap) {
		step := draw(random, table)
		switch {
		case len(steps) == 0:
			step = Step{Op: Image, Number: 2 + random.IntN(versions-1)}
		case at >= outage:
			step, outage = Step{Op: StopAPI, For: longOutage}, length
		}
		step.At = at
		steps = append(steps, step)
		if step.Op == StopAPI {
			at += step.For
		}
	}
	return withEdits(steps, seed, length)
}

// withEdits inserts the edits between the steps where there is room.
func withEdits(steps []Step, seed uint64, length time.Duration) []Step {
	random := rand.New(rand.NewPCG(seed, 2))
	for at := between(random, soonestEdit, latestEdit); at < length; at += between(random, soonestEdit, latestEdit) {
		step := draw(random, edits)
		step.At = at
		next := slices.IndexFunc(steps, func(s Step) bool { return s.At > at })
		switch {
		case next < 0:
			next = len(steps)
		case next == 0, steps[next].At-at < shortestGap:
			continue
		}
		free := steps[next-1].At + shortestGap
		if steps[next-1].Op == StopAPI {
			free += steps[next-1].For
		}
		if at >= free {
			steps = slices.Insert(steps, next, step)
		}
	}
	return steps
}

func draw(random *rand.Rand, table []row) Step {
	sum := 0
	for _, row := range table {
		sum += row.weight
	}
	at := random.IntN(sum)
	for _, row := range table {
		if at -= row.weight; at < 0 {
			step := Step{Op: row.op}
			if row.fill != nil {
				row.fill(&step, random)
			}
			return step
		}
	}
	panic("the weights of the table do not add up")
}

func pick(random *rand.Rand, from ...string) string { return from[random.IntN(len(from))] }

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)+1))
}
