// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The model check walks breadth-first over every world that can be reached at small scope: with any order of changes to
// pods, endpoint slices, the gateway's status and its proxies, a crash of the operator at any point, and anything that the
// user does in between. A violated invariant prints the shortest path to it.

// key identifies a world. Times are relative to now, and what is only reported does not count.
func (w *world) key(seed maphash.Seed) uint64 {
	far := newSettings(w.spec).settle + newSettings(w.spec).scaleDownDelay
	age := func(t time.Time) time.Duration { return max(t.Sub(w.now), -far) }
	var encoded []byte
	if w.status.Memory != nil {
		mem := w.status.Memory.DeepCopy()
		mem.Progress = v1alpha1.ProgressMemory{}
		relative := func(t **metav1.MicroTime) {
			if *t != nil {
				*t = &metav1.MicroTime{Time: epoch.Add(age((*t).Time))}
			}
		}
		relative(&mem.TransitionedAt)
		relative(&mem.Bake.Since)
		for _, all := range [][]v1alpha1.MetricMemory{mem.Analysis.Background, mem.Analysis.Step, mem.Analysis.Bake} {
			for i := range all {
				relative(&all[i].MeasuredAt)
			}
		}
		relative(&mem.PauseClockStoppedAt)
		relative(&mem.ForcedReleaseSince)
		relative(&mem.Traffic.VerifiedAt)
		if relative(&mem.Traffic.UnverifiedSince); newSettings(w.spec).verifyTimeout == time.Hour {
			mem.Traffic.UnverifiedSince = nil
		}
		relative(&mem.StableService.ReadyAt)
		relative(&mem.CanaryService.ReadyAt)
		for i := range mem.Draining {
			relative(&mem.Draining[i].Since)
		}
		for i := range mem.Traffic.Routes {
			record := &mem.Traffic.Routes[i]
			for j := range w.routeCount {
				if routeName(j) == record.Name {
					record.Generation -= w.route(j).generation
				}
			}
			if relative(&record.CarriedAt); !w.unversioned {
				record.CarriedAt = nil
			}
		}
		encoded, _ = json.Marshal(mem)
	}
	var hash maphash.Hash
	hash.SetSeed(seed)
	_, _ = hash.Write(encoded)
	deleted := time.Duration(0)
	if !w.deleted.IsZero() {
		deleted = max(w.deleted.Sub(w.now), -2*time.Minute) - 1
	}
	fmt.Fprint(&hash, w.template, deleted, w.finalizer, w.gone, w.sets, w.stable.selector, w.stable.stripped, w.stable.slices, w.stable.proxies,
		age(w.stable.changed), w.canary.selector, w.canary.stripped, w.canary.slices, w.canary.proxies, age(w.canary.changed),
		w.stable.trouble, w.stable.excused, w.canary.trouble, w.canary.excused,
		w.spec.Replicas != nil, w.size(), w.spec.Paused, len(w.spec.Steps), len(w.spec.Traffic.Routes), w.isAhead,
		w.userMoves, w.deaths, w.crashes, w.edits, w.complaints, w.troubles, w.jumps, w.promotes,
		ptr.Deref(w.commands.Abort, ""), ptr.Deref(w.commands.Retry, ""), ptr.Deref(w.commands.Promote, ""))
	if request := w.probe.ProbeRequest; request != (ProbeRequest{}) {
		fmt.Fprint(&hash, request.Weight, request.Stable, request.Canary, w.probe.Fits, w.isAbout(request))
	}
	w.runner.print(&hash)
	fmt.Fprint(&hash, w.metricAnswers, w.isProven())
	for i := range w.routeCount {
		r := w.route(i)
		fmt.Fprint(&hash, r.weight, r.mirror, r.headers, r.proxyWeight, r.proxyMirror, r.proxyHeaders, r.troubled, r.refused == r.generation)
		if w.unversioned {
			fmt.Fprint(&hash, age(r.written))
		} else {
			fmt.Fprint(&hash, r.behind(), r.generation-r.told, age(r.toldAt))
		}
	}
	return hash.Sum64()
}

// node is a world on the frontier, and the path to it.
type node struct {
	*world
	trail *trail
}

type trail struct {
	move string
	prev *trail
}

func (t *trail) String() string {
	var moves []string
	for ; t != nil; t = t.prev {
		moves = append(moves, t.move)
	}
	slices.Reverse(moves)
	return strings.Join(moves, "\n  ")
}

// walked is what a walk went through.
type walked struct {
	worlds int
	// taken counts the moves that led to a world, known or not, by name.
	taken map[string]int
}

func (w walked) String() string {
	text := fmt.Sprintf("%d worlds:", w.worlds)
	for _, moveName := range slices.Sorted(maps.Keys(w.taken)) {
		text += fmt.Sprintf("\n%10d × %s", w.taken[moveName], moveName)
	}
	return text
}

// explore visits every world that the moves reach from the first.
func explore(t *testing.T, first *world, moves []move, maxWorlds int) walked {
	t.Helper()
	taken := map[string]int{}
	seed := maphash.MakeSeed()
	seen := map[uint64]struct{}{first.key(seed): {}}
	for frontier := []node{{first, nil}}; len(frontier) > 0; frontier = frontier[1:] {
		from := frontier[0]
		frontier[0] = node{} // a world that was looked at may be forgotten
		if from.gone {
			continue
		}
		for _, move := range moves {
			next, why := move.make(from.world)
			if next == nil {
				continue
			}
			taken[move.name]++
			way := &trail{move.name, from.trail}
			if why == "" {
				why = checkWorld(next)
			}
			if why != "" {
				t.Fatalf("%s, after\n  %s", why, way)
			}
			k := next.key(seed)
			if _, known := seen[k]; known {
				continue
			}
			seen[k] = struct{}{}
			if len(seen)%64 == 0 {
				checkLiveness(t, next, way)
			}
			frontier = append(frontier, node{next, way})
		}
		if len(seen) > maxWorlds {
			t.Fatalf("more than %d worlds: the scope is too large", maxWorlds)
		}
	}
	return walked{len(seen), taken}
}

// checkLiveness lets everything else work as it should, and checks that the rollout becomes idle, pauses, or reports what it
// needs; that nothing is left to do then; and that no request was lost on the way.
func checkLiveness(t *testing.T, w *world, way *trail) {
	t.Helper()
	end := w.clone()
	for range 200 {
		if end.gone {
			return
		}
		end.settleAll()
		before := end.clone()
		plan := end.reconcile()
		if why := checkWorld(end); why != "" {
			t.Fatalf("%s, on the way to rest after\n  %s", why, way)
		}
		if !before.isIdle(plan) {
			continue
		}
		if plan.WakeAt.IsZero() || plan.WakeAt.Sub(end.now) > 10*time.Minute {
			checkRest(t, end, way)
			return
		}
		end.tick(plan.WakeAt)
	}
	t.Fatalf("the rollout comes to no rest (%s: %s) after\n  %s", end.status.State, end.status.Message, way)
}

// waitsForUser reports whether what the steps ask for was refused and removed again, and everything else follows the steps.
func (w *world) waitsForUser() bool {
	return w.refusesMirrors && w.status.Memory.StepRefusal != "" && w.status.Memory.Traffic.VerifiedAt != nil && w.route(0).mirror == 0
}

func checkRest(t *testing.T, w *world, way *trail) {
	t.Helper()
	switch w.status.State {
	case v1alpha1.StateHealthy, v1alpha1.StateAborted, v1alpha1.StatePaused:
	default:
		if w.size() == 0 && w.status.State == v1alpha1.StateProgressing || w.waitsForUser() {
			return
		}
		t.Fatalf("the rollout rests in %s (%s) after\n  %s", w.status.State, w.status.Message, way)
	}
	for _, s := range []struct {
		service *service
		want    string
	}{{&w.stable, w.status.Memory.StableService.Revision}, {&w.canary, w.status.Memory.CanaryService.Revision}} {
		if name(s.service.selector) != s.want {
			t.Fatalf("%s, and a Service selects %q instead of %q after\n  %s", w.status.State, name(s.service.selector), s.want, way)
		}
	}
	if w.status.State != v1alpha1.StatePaused && (w.anyRoute(func(r *routeWorld) bool { return r.weight != 0 || r.mirror != 0 }) || w.stable.selector != w.canary.selector) {
		t.Fatalf("%s with weights %v, stable %s, canary %s after\n  %s", w.status.State, w.routes[:w.routeCount],
			name(w.stable.selector), name(w.canary.selector), way)
	}
}
