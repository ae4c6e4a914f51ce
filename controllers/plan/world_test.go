// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The revisions of a world. none is a selector without a hash.
const (
	revA = iota
	revB
	revC
	revisions
	none = -1
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func name(revision int) string {
	if revision == none {
		return ""
	}
	return string(rune('a' + revision))
}

func index(revision string) int {
	if revision == "" {
		return none
	}
	return int(revision[0] - 'a')
}

// world is a cluster in miniature: what the API server holds, what other controllers make of it, and what the data
// plane really does with a request, which lags behind both.
type world struct {
	now      time.Time
	spec     *v1alpha1.CanaryRolloutSpec // shared by all that come of this world
	template int
	status   v1alpha1.CanaryRolloutStatus
	commands Commands
	deleted  time.Time

	finalizer, gone bool
	sets            [revisions]replicaSet
	// migrating is set if the pods of c are somebody else's, which served before there was a rollout.
	migrating      bool
	stable, canary service
	routes         [maxRoutes]routeWorld
	// routeCount is the number of routes.
	routeCount int
	// probe is what the operator measures, and what it has found. A crash loses that.
	probe Probe
	// runner measures metrics. metricAnswers are left for them, and isBad is set if each is bad. proven is the last good answer
	// that a gate got.
	runner        runner
	metricAnswers int
	isBad         bool
	proven        MeasurementID
	// refusesMirrors is set if the gateway refuses routes with mirrors.
	refusesMirrors bool
	// unversioned is set if the gateway accepts at once and reports no generation.
	unversioned bool
	// lagging is set if the status of a ReplicaSet lags behind its pods.
	lagging bool
	// isAhead is set if the clock has jumped ahead. Targets then count as settled too early, which the operator cannot know.
	isAhead bool

	// moves left for the user and for accidents.
	userMoves, deaths, crashes, edits, complaints, troubles, jumps int
	// promotes counts the promote commands given and not yet carried out.
	promotes int
	// edited is set if somebody else wrote to the user's objects.
	edited bool
	// wrong is the first rule that was broken during a pass; empty if none was.
	wrong string

	// next are the plans of the moves of the next pass, once they were asked for.
	next []Plan
}

type replicaSet struct {
	exists         bool
	desired, ready int32
	// told is its status, and isCurrent is set if that is about the newest size. Only a lagging world uses them.
	told      int32
	isCurrent bool
	// killed excuses lost requests until the data plane has learned of it, or relies on pods that came since.
	killed bool
	// mourned is set if a pass has seen the Services without the killed pods.
	mourned bool
}

type service struct {
	selector int
	// slices are the ready endpoints by revision; proxies are what the data plane knows of them.
	slices, proxies [revisions]int32
	// changed is since when the slices are as they are.
	changed time.Time
	// stripped is set if somebody removed the revision from the selector: setting it again is a repair, not a move.
	stripped bool
	// trouble is what its user has to fix; excused are the requests that it loses until the data plane has learned that it is
	// over.
	trouble trouble
	excused bool
}

func (s *service) selects(revision int) bool { return s.selector == none || s.selector == revision }

func qaRoute() *v1alpha1.SetHeaderRoute {
	return &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{{
		Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "qa"}},
	}}}
}

func weight(w int32) v1alpha1.Step { return v1alpha1.Step{SetWeight: &w} }

func pause(d time.Duration) v1alpha1.Step {
	if d == 0 {
		return v1alpha1.Step{Pause: &v1alpha1.Pause{}}
	}
	return v1alpha1.Step{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: d}}}
}

func canaryScale(replicas int32) v1alpha1.Step {
	return v1alpha1.Step{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: &replicas}}
}

func pinnedScale(replicas int32) v1alpha1.Step {
	step := canaryScale(replicas)
	step.SetCanaryScale.Mode = v1alpha1.ScaleModeExact
	return step
}

func mirrorStep(percent int32) v1alpha1.Step {
	return v1alpha1.Step{SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: &percent}}
}

func headerStep() v1alpha1.Step { return v1alpha1.Step{SetHeaderRoute: qaRoute()} }

func newWorld(replicas int32, steps ...v1alpha1.Step) *world {
	return &world{
		now: epoch,
		spec: &v1alpha1.CanaryRolloutSpec{
			Replicas: &replicas, Selector: v1alpha1.PodSelector{MatchLabels: map[string]string{"app": "reviews"}},
			ProgressDeadlineSeconds: ptr.To[int32](3600),
			Traffic: v1alpha1.Traffic{
				StableService: "reviews-stable", CanaryService: "reviews-canary",
				Routes: []v1alpha1.RouteReference{{Kind: "HTTPRoute", Name: "reviews"}},
			},
			Steps: steps,
		},
		stable: service{selector: none, changed: epoch}, canary: service{selector: none, changed: epoch},
		routes: [maxRoutes]routeWorld{asFound, asFound}, routeCount: 1,
	}
}

// clone shares nothing that moves; the status is replaced as a whole, never changed.
func (w *world) clone() *world {
	c := *w
	c.next = nil
	return &c
}

// moves returns the plans of the moves of the next pass; only for worlds that no longer change.
func (w *world) moves() []Plan {
	if w.next == nil {
		w.next = sequence(w.input(), gatewayCanary{})
	}
	return w.next
}

// planned returns the plan of the next pass; only for worlds that no longer change.
func (w *world) planned() Plan { return joined(w.moves()) }

func (w *world) input() Input {
	in := Input{
		Namespace: "default", Name: "reviews", Spec: *w.spec, Prior: w.status, Generation: 1,
		Commands: w.commands, DeletedAt: w.deleted, HasFinalizer: w.finalizer, Now: w.now,
	}
	in.Observed.Template = Template{Hash: "hash-" + name(w.template), Revision: name(w.template), Images: "reviews:" + name(w.template)}
	in.Observed.StepsHash = stepsHash(w.spec.Steps)
	for i, set := range w.sets {
		if set.exists && !w.isForeign(i) {
			pods, isCurrent := w.reported(i)
			in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{
				Name: "reviews-" + name(i), Revision: name(i), Images: "reviews:" + name(i), Desired: set.desired,
				Replicas: pods, Ready: pods, Available: pods, Current: isCurrent, Created: epoch.Add(time.Duration(i)),
				Marks: w.marks(name(i)),
			})
		}
	}
	in.Observed.Stable = w.observed(&w.stable, "reviews-stable")
	in.Observed.Canary = w.observed(&w.canary, "reviews-canary")
	in.Observed.Probe, in.Observed.Measured = w.probe, w.runner.results
	in.Observed.Providers = map[string]Provider{v1alpha1.DefaultProvider: {Prometheus: true, ScrapeInterval: time.Second}}
	for i := range w.routeCount {
		route := w.observedRoute(i)
		if route.Leaving = i >= len(w.spec.Traffic.Routes); !route.Leaving || w.remembers(route) {
			in.Observed.Routes = append(in.Observed.Routes, route)
		}
	}
	return in
}

// remembers reports whether memory names a route.
func (w *world) remembers(route Route) bool {
	return w.status.Memory != nil && slices.ContainsFunc(w.status.Memory.Routes, func(managed v1alpha1.ManagedRoute) bool {
		return managed.Kind == route.Kind && managed.Name == route.Name
	})
}

// stepsHash stands for the hash of the raw steps.
func stepsHash(steps []v1alpha1.Step) string { return formerStepsHash(steps) }

// marks are always those that memory asks for. Tests without memory cover other marks.
func (w *world) marks(revision string) Marks {
	switch mem := w.status.Memory; {
	case mem == nil:
		return Marks{}
	case revision == mem.StableRevision:
		return Marks{Promotion: 1}
	case revision == mem.AbortedRevision:
		return Marks{AbortReason: mem.AbortReason}
	default:
		return Marks{}
	}
}

// migrate lets pods of others serve before there is a rollout.
func migrate(w *world) {
	w.migrating = true
	w.sets[revC] = replicaSet{exists: true, desired: *w.spec.Replicas, ready: *w.spec.Replicas}
	w.settleAll()
}

func (w *world) isForeign(revision int) bool { return w.migrating && revision == revC }

func (w *world) observed(s *service, serviceName string) Service {
	observed := Service{Name: serviceName, Found: s.trouble != missing, Revision: name(s.selector), Problem: s.problem()}
	for i, count := range s.slices {
		revision := name(i)
		if w.isForeign(i) {
			revision = ""
		}
		if count > 0 {
			observed.Endpoints = append(observed.Endpoints, Endpoints{Revision: revision, Ready: count, Total: count})
		}
	}
	return observed
}

// apply does to the world what the applier does to the cluster.
func (w *world) apply(action Action) {
	w.wrong = cmp.Or(w.wrong, w.checkAction(action))
	switch a := action.(type) {
	case AddFinalizer:
		w.finalizer = true
	case RemoveFinalizer:
		w.gone = true
	case RemoveAnnotations:
		w.commands = Commands{}
	case AdoptReplicaSet:
	case SetReplicas:
		spec := *w.spec
		spec.Replicas, w.spec = &a.Replicas, &spec
	case CreateReplicaSet:
		w.sets[index(a.Revision)] = replicaSet{exists: true, desired: a.Replicas}
	case ScaleReplicaSet:
		set := &w.sets[w.setIndex(a.Name)]
		set.desired, set.isCurrent = a.Replicas, !w.lagging
		if w.size() == 0 { // as the user wants it
			set.killed, w.stable.excused, w.canary.excused = true, true, true
		}
	case MarkReplicaSet:
	case DeleteReplicaSet:
		w.sets[w.setIndex(a.Name)] = replicaSet{}
	case PointService:
		s := w.service(a.Name)
		// Requests that are lost while the endpoints change are due to the one who removed them.
		s.excused = s.excused || s.stripped && a.Revision != "" && s.slices[index(a.Revision)] == 0
		s.selector, s.stripped = index(a.Revision), a.Revision == ""
	case SetTraffic:
		w.write(w.routeNamed(a.Name), a.Weight, a.Mirror, len(a.HeaderRoutes) > 0)
	}
}

func (w *world) setIndex(setName string) int { return index(strings.TrimPrefix(setName, "reviews-")) }

func (w *world) service(serviceName string) *service {
	if serviceName == "reviews-stable" {
		return &w.stable
	}
	return &w.canary
}

// The moves of the environment. Each returns whether it changed anything.

// startPods brings a ReplicaSet to its size.
func (w *world) startPods(revision int) bool {
	set := &w.sets[revision]
	if !set.exists || set.ready == set.desired {
		return false
	}
	set.ready = set.desired
	w.forgive()
	return true
}

func (w *world) syncSlices(s *service) bool {
	want := w.selected(s)
	if s.slices == want {
		return false
	}
	s.changed = w.now
	dropped := false
	for i := range want {
		if s.slices[i] > want[i] {
			s.slices[i], dropped = want[i], true
		}
	}
	if !dropped { // what goes and what comes may be two writes
		s.slices = want
	}
	return true
}

// selected are the ready pods behind a Service; one that is being deleted is not ready.
func (w *world) selected(s *service) [revisions]int32 {
	var selected [revisions]int32
	for i, set := range w.sets {
		if s.selects(i) && s.trouble != mismatched && s.trouble != missing {
			selected[i] = min(set.ready, set.desired)
		}
	}
	return selected
}

func (w *world) syncProxyEndpoints(s *service) bool {
	if s.proxies == s.slices {
		return false
	}
	s.proxies = s.slices
	w.forgive()
	return true
}

// forgive ends the excuse of a killed revision once every proxy knows the endpoints: nothing may lead to it then, unless
// every other revision is dead, too. It also ends with the replacement of the pods, if a pass knows of their death and no
// requests are on their way to them: the replacements are new pods like any others.
func (w *world) forgive() {
	for _, s := range []*service{&w.stable, &w.canary} {
		s.excused = s.excused && !(s.trouble == untroubled && w.isKnown(s) && sum(s.slices) > 0)
	}
	isAlive := func(set replicaSet) bool { return set.ready > 0 }
	for i, set := range w.sets {
		if !set.killed {
			continue
		}
		leadsTo := w.stable.selects(i) || w.canary.selects(i) || !slices.ContainsFunc(w.sets[:], isAlive)
		reported, _ := w.reported(i)
		lives := min(set.ready, set.desired, reported) > 0
		isOver := w.isKnown(&w.stable) && w.isKnown(&w.canary) && (lives || !leadsTo)
		isReplaced := lives && set.mourned && !w.awaits()
		if isOver || isReplaced {
			w.sets[i].killed, w.sets[i].mourned = false, false
		}
	}
}

// awaits reports whether requests go to a Service, or are meant to, and its endpoints are not completely known.
func (w *world) awaits() bool {
	traffic := w.status.Memory.Traffic
	toCanary := traffic.Weight > 0 || traffic.MirrorPercent > 0 || traffic.HeaderRoutesActive || w.toCanary() || w.copiesToCanary() ||
		w.anyRoute(func(r *routeWorld) bool { return r.weight > 0 || r.mirror > 0 || r.headers })
	toStable := traffic.Weight < 100 || w.toStable() || w.anyManaged(func(r *routeWorld) bool { return r.weight < 100 })
	return toCanary && !w.isKnown(&w.canary) || toStable && !w.isKnown(&w.stable)
}

// isKnown reports whether the data plane knows the current endpoints of a Service.
func (w *world) isKnown(s *service) bool { return s.proxies == s.slices && s.slices == w.selected(s) }

// mourn records the killed revisions of which a pass has seen no endpoint.
func (w *world) mourn() {
	for i, set := range w.sets {
		w.sets[i].mourned = set.mourned || set.killed && w.stable.slices[i]+w.canary.slices[i] == 0
	}
	w.forgive()
}

// tick advances to a time. By then, the data plane has applied what was sent to it more than settleSeconds before.
func (w *world) tick(to time.Time) {
	w.now = to
	settled := to.Add(-newSettings(w.spec).settle)
	for _, s := range []*service{&w.stable, &w.canary} {
		if !s.changed.After(settled) {
			w.syncProxyEndpoints(s)
		}
	}
	for i := range w.routeCount {
		if w.isTold(w.route(i), settled) {
			w.syncProxyRoute(i)
		}
	}
}

// settleAll lets every other controller and the data plane finish their work.
func (w *world) settleAll() {
	for changed := true; changed; {
		changed = false
		for i := range w.sets {
			changed = w.startPods(i) || changed
			changed = w.lagging && w.reports(i) || changed
		}
		for _, s := range []*service{&w.stable, &w.canary} {
			changed = w.helps(s) || changed
			changed = w.syncSlices(s) || changed
			changed = w.syncProxyEndpoints(s) || changed
		}
		for i := range w.routeCount {
			changed = w.helpRoute() || changed
			changed = w.accept(i) || changed
			changed = w.syncProxyRoute(i) || changed
		}
	}
	w.measure()
	w.answerGate()
}

// reconcile is one whole pass.
func (w *world) reconcile() Plan {
	plan := Compute(w.input())
	w.carryOut(plan)
	return plan
}

func (w *world) carryOut(plan Plan) {
	for _, action := range plan.Actions {
		w.apply(action)
	}
	w.remember(plan)
	w.probe, w.runner = asked(w.probe, plan.Probe()), w.runner.ask(plan)
}
