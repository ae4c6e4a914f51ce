// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The model check walks breadth-first over every world that can be reached at small scope: whatever the order in
// which pods, endpoint slices, the gateway's status and its proxies move, wherever the operator crashes, and whatever
// the user does in between. A violated invariant prints the shortest way to it.

// move is one thing that can happen to a world. It returns nil when it cannot.
type move struct {
	name string
	make func(*world) (*world, string)
}

// silent is a move of the environment that breaks no rule by itself.
func silent(moveName string, change func(*world) bool) move {
	return move{moveName, func(w *world) (*world, string) {
		next := w.clone()
		if !change(next) {
			return nil, ""
		}
		return next, ""
	}}
}

func environment() []move {
	moves := []move{
		silent("stable slices", func(w *world) bool { return w.syncSlices(&w.stable) }),
		silent("canary slices", func(w *world) bool { return w.syncSlices(&w.canary) }),
		silent("proxies learn stable endpoints", func(w *world) bool { return w.syncProxyEndpoints(&w.stable) }),
		silent("proxies learn canary endpoints", func(w *world) bool { return w.syncProxyEndpoints(&w.canary) }),
		silent("gateway reports", func(w *world) bool { return w.accept() }),
		silent("proxies learn the route", func(w *world) bool { return w.syncProxyRoute() }),
		{"reconcile", reconcileMove},
		{"tick", tickMove},
	}
	for revision := range revisions {
		moves = append(moves, silent("pods of "+name(revision), func(w *world) bool { return w.startPods(revision) }))
	}
	return moves
}

func reconcileMove(w *world) (*world, string) {
	plan := w.planned()
	if len(plan.Actions) == 0 && equality.Semantic.DeepEqual(w.status, plan.Status) {
		return nil, ""
	}
	next := w.clone()
	next.carryOut(plan)
	next.count(plan)
	return next, checkPlan(w, plan)
}

func tickMove(w *world) (*world, string) {
	wakeAt := w.planned().WakeAt
	if wakeAt.IsZero() || wakeAt.Sub(w.now) > time.Minute {
		return nil, ""
	}
	next := w.clone()
	next.tick(wakeAt)
	return next, ""
}

// count follows the commands that were carried out.
func (w *world) count(plan Plan) {
	for _, event := range plan.Events {
		if event.Reason == EventResumed {
			w.promotes--
		}
	}
}

// accidents crash the operator after k actions, before its status write; kill all pods of a revision; and write into
// the user's objects.
func accidents() []move {
	moves := []move{
		spend("somebody swaps the weights", func(w *world) *int { return &w.edits }, func(w *world) bool {
			w.route.weight, w.route.headers = 50, false
			w.route.generation++
			w.edited = true
			return true
		}),
		spend("somebody strips the canary selector", func(w *world) *int { return &w.edits }, func(w *world) bool {
			w.canary.selector = none
			w.edited = true
			return true
		}),
	}
	for k := range 6 { // no plan has more actions
		moves = append(moves, spend(fmt.Sprintf("crash after action %d", k+1), func(w *world) *int { return &w.crashes },
			func(w *world) bool {
				plan := w.planned()
				if len(plan.Actions) <= k {
					return false
				}
				for _, action := range plan.Actions[:k+1] {
					w.apply(action)
				}
				return true
			}))
	}
	for revision := range revisions {
		moves = append(moves, spend("pods of "+name(revision)+" die", func(w *world) *int { return &w.deaths },
			func(w *world) bool {
				set := &w.sets[revision]
				if set.ready == 0 {
					return false
				}
				set.ready, set.killed = 0, true
				return true
			}))
	}
	return moves
}

// spend is a move that can only be made so many times.
func spend(moveName string, budget func(*world) *int, change func(*world) bool) move {
	return silent(moveName, func(w *world) bool {
		if *budget(w) == 0 || w.gone {
			return false
		}
		*budget(w)--
		return change(w)
	})
}

func userMoves() []move {
	user := func(moveName string, change func(*world) bool) move {
		return spend("user: "+moveName, func(w *world) *int { return &w.userMoves }, change)
	}
	edit := func(revision int) move {
		return user("applies "+name(revision), func(w *world) bool {
			changed := w.template != revision
			w.template = revision
			return changed
		})
	}
	command := func(key string, field func(*Commands) **string, value string) move {
		return user(key+"="+value, func(w *world) bool {
			target := field(&w.commands)
			if *target != nil {
				return false
			}
			*target = &value
			if key == "promote" && value == "true" {
				w.promotes++
			}
			return true
		})
	}
	promote := func(c *Commands) **string { return &c.Promote }
	return []move{
		edit(revA), edit(revB), edit(revC),
		command("promote", promote, "true"), command("promote", promote, "full"),
		command("abort", func(c *Commands) **string { return &c.Abort }, "true"),
		command("retry", func(c *Commands) **string { return &c.Retry }, "true"),
		user("deletes", func(w *world) bool {
			deleted := w.deleted.IsZero()
			w.deleted = w.now
			return deleted
		}),
	}
}

// checkPlan holds what a pass does against T1 and the weights: with the eye of the data plane, not with what was
// reported to the operator.
func checkPlan(before *world, plan Plan) string {
	if plan.Status.Memory == nil || before.status.Memory == nil || !before.deleted.IsZero() {
		return ""
	}
	prior, mem := before.status.Memory, plan.Status.Memory
	if mem.Traffic.Weight < 0 || mem.Traffic.Weight > 100 {
		return fmt.Sprintf("weight %d", mem.Traffic.Weight)
	}
	if mem.Phase == v1alpha1.PhaseStepping && mem.Traffic.Weight > max(mem.StepWeight, prior.Traffic.Weight) {
		return fmt.Sprintf("P1: weight %d above the step's %d", mem.Traffic.Weight, mem.StepWeight)
	}
	if moved(prior.StableService, mem.StableService) && index(mem.StableService.Revision) != before.stable.selector && before.reaches(&before.stable) && before.route.proxyWeight < 100 {
		return "T1: the stable Service moves while it carries traffic"
	}
	if moved(prior.CanaryService, mem.CanaryService) && before.reaches(&before.canary) &&
		(before.route.proxyWeight > 0 || before.route.proxyHeaders) {
		return "T1: the canary Service moves while it carries traffic"
	}
	return checkWeight(before, prior, mem)
}

// checkWeight holds a changed weight against the endpoints that the pass saw: T2 for a rise, T9 for a return, and the
// flight from a dying canary.
func checkWeight(before *world, prior, mem *v1alpha1.Memory) string {
	current, replicas := index(prior.CurrentRevision), *before.spec.Replicas
	was, is := prior.Traffic.Weight, mem.Traffic.Weight
	canary, stable := before.canary.slices[max(current, 0)], sum(before.stable.slices)
	switch {
	case is > was && mem.Phase == v1alpha1.PhaseStepping && canary < max(1, share(replicas, is)):
		return fmt.Sprintf("T2: weight %d on %d ready endpoints", is, canary)
	case is > was && mem.Phase == v1alpha1.PhasePromoting && canary < replicas:
		return fmt.Sprintf("T8: all traffic on %d ready endpoints", canary)
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.slices[current] < replicas:
		return fmt.Sprintf("T8: all traffic back on %d ready endpoints", before.stable.slices[current])
	case is < was && mem.Phase == v1alpha1.PhasePromoting && mem.StableService.Revision == prior.CurrentRevision &&
		before.stable.proxies[current] == 0 && !before.sets[current].killed:
		return "T2: all traffic back on endpoints that no proxy can be relied on to know"
	case is > 0 && stable > 0 && prior.StableService.Revision == prior.StableRevision &&
		prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseReturning:
		return "T9: traffic does not go back at once"
	case is > 0 && stable > 0 && canary == 0 && prior.Phase == v1alpha1.PhaseStepping && mem.Phase == v1alpha1.PhaseStepping &&
		before.canary.selector == current && prior.CanaryService.Revision == prior.CurrentRevision:
		return "a dying canary keeps its traffic"
	}
	return ""
}

func sum(endpoints [revisions]int32) int32 {
	var all int32
	for _, count := range endpoints {
		all += count
	}
	return all
}

func moved(before, after v1alpha1.ServiceMemory) bool {
	return before.Revision != "" && before.Revision != after.Revision
}

// reaches says that the data plane reaches a pod through a Service, and that a pass can know of it.
func (w *world) reaches(s *service) bool {
	for i, count := range s.proxies {
		if count > 0 && w.sets[i].ready > 0 {
			return sum(s.slices) > 0
		}
	}
	return false
}

// checkWorld holds a world against what users rely on.
func checkWorld(w *world) string {
	if w.gone {
		return ""
	}
	if mem := w.status.Memory; mem != nil && (mem.StableRevision != "" || w.migrating) && !w.isGivenUp() {
		why := w.lost()
		if why != "" && !(w.edited && w.route.proxyWeight != mem.Traffic.Weight) { // else it is the other writer's weight
			return why
		}
	}
	if w.promotes < 0 {
		return "a promote was carried out twice"
	}
	mem := w.status.Memory
	if mem == nil || w.edited {
		return ""
	}
	if w.status.State == v1alpha1.StateAborted && (w.route.proxyWeight > 0 || w.route.proxyHeaders) && mem.Draining == nil {
		return "an aborted revision gets requests"
	}
	return ""
}

// isGivenUp says that a deletion took so long that the rollout is let go, whatever becomes of its requests.
func (w *world) isGivenUp() bool {
	return !w.deleted.IsZero() && !w.now.Before(w.deleted.Add(terminationPatience))
}

// key tells worlds apart: times count as distances from now, and what is only report does not count.
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
		relative(&mem.StepStartedAt)
		relative(&mem.LettingGoSince)
		relative(&mem.Traffic.VerifiedAt)
		relative(&mem.StableService.ReadyAt)
		relative(&mem.CanaryService.ReadyAt)
		for i := range mem.Draining {
			relative(&mem.Draining[i].Since)
		}
		for i := range mem.Traffic.Routes {
			record := &mem.Traffic.Routes[i]
			record.Generation -= w.route.generation
			record.CarriedAt = nil
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
	fmt.Fprint(&hash, w.template, deleted, w.finalizer, w.gone, w.sets, w.stable.selector, w.stable.slices, w.stable.proxies,
		age(w.stable.changed), w.canary.selector, w.canary.slices, w.canary.proxies, age(w.canary.changed),
		w.route.weight, w.route.headers, w.route.generation-w.route.accepted, age(w.route.acceptedAt),
		w.route.proxyWeight, w.route.proxyHeaders, w.userMoves, w.deaths, w.crashes, w.edits, w.promotes,
		ptr.Deref(w.commands.Abort, ""), ptr.Deref(w.commands.Retry, ""), ptr.Deref(w.commands.Promote, ""))
	return hash.Sum64()
}

// node is a world on the frontier, and the way to it.
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

// checkLiveness lets everything else work as it should, and demands that the rollout comes to a rest, to a pause, or
// to a state that says what it needs; that nothing is then left to do; and that nothing was lost on the way.
func checkLiveness(t *testing.T, w *world, way *trail) {
	t.Helper()
	end := w.clone()
	for range 200 {
		if end.gone {
			return
		}
		end.settleAll()
		prior := end.status
		plan := end.reconcile()
		if why := checkWorld(end); why != "" {
			t.Fatalf("%s, on the way to rest after\n  %s", why, way)
		}
		if len(plan.Actions) > 0 || !equality.Semantic.DeepEqual(prior, plan.Status) {
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

func checkRest(t *testing.T, w *world, way *trail) {
	t.Helper()
	switch w.status.State {
	case v1alpha1.StateHealthy, v1alpha1.StateAborted, v1alpha1.StatePaused:
	default:
		t.Fatalf("the rollout rests in %s (%s) after\n  %s", w.status.State, w.status.Message, way)
	}
	if w.status.State != v1alpha1.StatePaused && (w.route.weight != 0 || w.stable.selector != w.canary.selector) {
		t.Fatalf("%s with weight %d, stable %s, canary %s after\n  %s", w.status.State, w.route.weight,
			name(w.stable.selector), name(w.canary.selector), way)
	}
}

// deployed is a world at rest with revision a, the user about to apply revision b.
func deployed(t *testing.T, steps ...v1alpha1.Step) *world {
	t.Helper()
	w := newWorld(2, steps...)
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

// undeployed is a world before the first deploy.
func undeployed() *world { return newWorld(2) }

// migrating is a world in which somebody else's pods answer, and a rollout of revision a comes up beside them.
func migrating() *world {
	w := newWorld(2)
	migrate(w)
	return w
}

var deep = flag.Bool("deep", false, "walk the scopes that take minutes, too")

func TestModel(t *testing.T) {
	scopes := []struct {
		name                              string
		first                             func() *world // a world at rest with revision a, if it does not say otherwise
		steps                             []v1alpha1.Step
		user, deaths, crashes, edits, max int
		long, deep                        bool
	}{
		{name: "first deploy", first: undeployed, user: 1, max: 1_000_000},
		{name: "first deploy and sick pods", first: undeployed, user: 1, deaths: 1, max: 20_000_000, deep: true},
		{name: "migration", first: migrating, max: 1_000_000},
		{name: "migration and sick pods", first: migrating, deaths: 1, max: 20_000_000, deep: true},
		{name: "a user", steps: []v1alpha1.Step{headerStep(), pause(0), weight(50)}, user: 1, max: 2_000_000},
		{name: "a user and a crash", steps: []v1alpha1.Step{weight(50)}, user: 1, crashes: 1, max: 2_000_000, long: true},
		{name: "sick stable or dying canary", steps: []v1alpha1.Step{headerStep(), weight(50)}, deaths: 1, max: 2_000_000},
		{name: "a user and sick pods", steps: []v1alpha1.Step{weight(50)}, user: 1, deaths: 1, max: 20_000_000, deep: true},
		{name: "both sick", steps: []v1alpha1.Step{weight(50)}, deaths: 2, max: 20_000_000, deep: true},
		{name: "a crash and sick pods", steps: []v1alpha1.Step{weight(50)}, deaths: 1, crashes: 1, max: 20_000_000, deep: true},
		{name: "a user and other writers", steps: []v1alpha1.Step{weight(50)}, user: 1, edits: 1, max: 20_000_000, deep: true},
		{name: "other writers and a crash", steps: []v1alpha1.Step{weight(50)}, edits: 1, crashes: 1, max: 2_000_000, long: true},
	}
	for _, scope := range scopes {
		t.Run(scope.name, func(t *testing.T) {
			t.Parallel()
			if scope.long && testing.Short() {
				t.Skip("half a million worlds are not for -short")
			}
			if scope.deep && !*deep {
				t.Skip("takes minutes: go test -deep, or make test-long")
			}
			var first *world
			if scope.first != nil {
				first = scope.first()
			} else {
				first = deployed(t, scope.steps...)
			}
			first.userMoves, first.deaths, first.crashes, first.edits = scope.user, scope.deaths, scope.crashes, scope.edits
			start := time.Now()
			walk := explore(t, first, slices.Concat(environment(), userMoves(), accidents()), scope.max)
			t.Logf("T1, T2, T3, T4, T9, P1, P2, P4-P8 hold after %s in %s", time.Since(start).Round(time.Millisecond), walk)
		})
	}
}
