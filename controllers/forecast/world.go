// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// world is a simulated cluster in which nothing fails.
type world struct {
	rollout *v1alpha1.CanaryRollout
	spec    v1alpha1.CanaryRolloutSpec
	// podReady is how long a pod takes to become ready.
	podReady time.Duration
	now      time.Time

	// template is the revision of spec.template.
	template string
	// stepsHash is a stand-in for the hash of the raw steps.
	stepsHash string
	status    v1alpha1.CanaryRolloutStatus
	commands  plan.Commands
	finalizer bool
	sets      []*replicaSet
	// selectors maps the name of a Service to the revision that it selects.
	selectors map[string]string
	route     route
	// metrics answers the measurements that plans ask for.
	metrics metrics
}

// route represents all routes of the rollout: in this world they are always identical.
type route struct {
	traffic    plan.Traffic
	generation int64
}

func newWorld(rollout *v1alpha1.CanaryRollout, options Options, now time.Time) *world {
	w := &world{
		rollout: rollout, spec: *rollout.Spec.DeepCopy(), podReady: options.PodReady, now: now, stepsHash: "steps",
		selectors: map[string]string{}, metrics: newMetrics(&rollout.Spec, options.Metric),
	}
	w.route.generation = 1
	w.spec.Paused = false      // forecast a paused rollout as if it were resumed
	w.spec.Traffic.Probe = nil // a probe would always confirm the target at once
	return w
}

// liveWorld builds the world that a status describes, with all targets reached. Pods of old revisions that are still
// draining do not appear in a status, and so not in this world.
func liveWorld(rollout *v1alpha1.CanaryRollout, options Options, now time.Time) *world {
	w := newWorld(rollout, options, now)
	w.status = *rollout.Status.DeepCopy()
	memory := w.status.Memory
	memory.StepIndex = max(memory.StepIndex, 0)
	memory.StableService.Name, memory.CanaryService.Name = w.spec.Traffic.StableService, w.spec.Traffic.CanaryService
	memory.Routes, memory.LeavingServices = nil, nil
	w.template, w.stepsHash, w.finalizer = memory.Template.Revision, plan.SeenStepsHash(rollout), true
	w.selectors[w.spec.Traffic.StableService] = memory.StableService.Revision
	w.selectors[w.spec.Traffic.CanaryService] = memory.CanaryService.Revision
	w.route.traffic = plan.Traffic{Weight: memory.Traffic.Weight, Mirror: memory.Traffic.MirrorPercent}
	if memory.Traffic.HeaderRoutesActive {
		w.route.traffic.HeaderRoutes = memory.StepTargets.HeaderRoutes
	}
	for _, record := range memory.Traffic.Routes {
		w.route.generation = max(w.route.generation, record.Generation)
	}
	for _, revision := range []*v1alpha1.RevisionStatus{w.status.Stable, w.status.Canary} {
		if revision != nil && revision.Replicas+revision.Desired > 0 {
			w.sets = append(w.sets, &replicaSet{
				revision: revision.Revision, desired: revision.Desired, ready: revision.Ready, available: revision.Available,
				grownAt: now, minReadySeconds: w.spec.MinReadySeconds,
			})
		}
	}
	return w
}

// pass simulates a pass of the controller with at most one move. Its actions have taken effect when it returns.
func (w *world) pass() plan.Plan {
	for _, set := range w.sets {
		set.grow(w.now, w.podReady)
	}
	p := plan.ComputeMove(w.input())
	for _, action := range p.Actions {
		w.apply(action)
	}
	w.status = p.Status
	w.metrics.asked = p.Measurements
	return p
}

func (w *world) input() plan.Input {
	in := plan.Input{
		Namespace: w.rollout.Namespace, Name: w.rollout.Name, Spec: w.spec, Prior: w.status, Generation: w.rollout.Generation,
		Commands: w.commands, HasFinalizer: w.finalizer, Now: w.now,
	}
	in.Observed.Template = plan.Template{Hash: w.template, Revision: w.template}
	in.Observed.StepsHash = w.stepsHash
	w.metrics.observe(&in.Observed, w.now)
	for _, set := range w.sets {
		in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, set.observed())
	}
	in.Observed.Stable = w.service(w.spec.Traffic.StableService)
	in.Observed.Canary = w.service(w.spec.Traffic.CanaryService)
	for _, reference := range w.spec.Traffic.Routes {
		in.Observed.Routes = append(in.Observed.Routes, plan.Route{
			Kind: reference.Kind, Name: reference.Name, Found: true, Generation: w.route.generation,
			Weight: w.route.traffic.Weight, Mirror: w.route.traffic.Mirror, Headers: w.headers(), AcceptedGeneration: w.route.generation,
		})
	}
	return in
}

func (w *world) service(name string) plan.Service {
	service := plan.Service{Name: name, Found: true, Revision: w.selectors[name]}
	for _, set := range w.sets {
		if set.ready > 0 && (service.Revision == "" || service.Revision == set.revision) {
			service.Endpoints = append(service.Endpoints, plan.Endpoints{Revision: set.revision, Ready: set.ready, Total: set.ready})
		}
	}
	return service
}

func (w *world) headers() plan.HeaderState {
	switch {
	case len(w.route.traffic.HeaderRoutes) == 0:
		return plan.HeadersNone
	case w.status.Memory != nil && equality.Semantic.DeepEqual(w.route.traffic.HeaderRoutes, w.status.Memory.StepTargets.HeaderRoutes):
		return plan.HeadersCurrent
	default:
		return plan.HeadersOther
	}
}

func (w *world) apply(action plan.Action) {
	switch a := action.(type) {
	case plan.AddFinalizer:
		w.finalizer = true
	case plan.RemoveFinalizer:
		w.finalizer = false
	case plan.RemoveAnnotations:
		w.commands = plan.Commands{}
	case plan.SetReplicas:
		w.spec.Replicas = &a.Replicas
	case plan.AdoptReplicaSet: // there are no orphans here
	case plan.CreateReplicaSet:
		w.sets = append(w.sets, &replicaSet{
			revision: a.Revision, desired: a.Replicas, grownAt: w.now, minReadySeconds: w.spec.MinReadySeconds, created: w.now,
		})
	case plan.ScaleReplicaSet:
		for _, set := range w.sets {
			if set.revision == a.Name {
				set.scale(a, w.now)
			}
		}
	case plan.MarkReplicaSet:
		for _, set := range w.sets {
			if set.revision == a.Name {
				set.marks = a.Marks
			}
		}
	case plan.DeleteReplicaSet:
		w.sets = slices.DeleteFunc(w.sets, func(set *replicaSet) bool { return set.revision == a.Name })
	case plan.PointService:
		w.selectors[a.Name] = a.Revision
	case plan.SetTraffic:
		w.route.traffic = a.Traffic
		w.route.generation++
	}
}

// tick advances the clock to the next event. It returns false if there is none.
func (w *world) tick(wakeAt time.Time) bool {
	next := w.metrics.before(wakeAt, w.now)
	for _, set := range w.sets {
		if at := set.changesAt(w.podReady); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return false
	}
	w.now = next
	return true
}
