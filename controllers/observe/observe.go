// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// Observer reads the cluster for one rollout at a time. It is safe for concurrent use.
type Observer struct {
	// Cache reads from watches. It must have the Indexes.
	Cache client.Reader
	// Live reads from the API server.
	Live client.Reader
	// Normalizer lets the API server default a template.
	Normalizer Normalizer
	// Kinds knows which kinds of routes are served, and whether CanaryMetrics are.
	Kinds Kinds
	// SharedMetrics is the namespace of CanaryMetrics with the scope Shared; empty if there is none.
	SharedMetrics string
	// Features knows what the gateways of the routes support.
	Features *Features
	// Schemas knows which fields the routes can have.
	Schemas *Schemas
	// Pods knows why pods are not ready.
	Pods *Pods
	// Probes has the results of the measurements of weights.
	Probes Probes
	// Measurements has the results of the measurements of metrics.
	Measurements Measurements
	// Notifications has the sinks, and what they have accepted.
	Notifications Notifications
	// Tracker knows what this process wrote.
	Tracker *Tracker
}

// Normalizer has the API server default a ReplicaSet as a create would, without creating it.
type Normalizer interface {
	// Normalize fills in the given object. AlreadyExists and refusals are answers, not failures.
	Normalize(ctx context.Context, replicaSet *unstructured.Unstructured) error
}

// Probes has the results of measurements.
type Probes interface {
	// Result returns what has been measured for a rollout so far.
	Result(rollout types.NamespacedName) plan.Probe
}

// Measurements has the results of the measurements that plans asked for.
type Measurements interface {
	// Results returns what has been measured for a rollout so far.
	Results(rollout types.NamespacedName) []plan.Measured
	// Providers returns the metric providers by name.
	Providers() map[string]plan.Provider
	// JobsAllowed reports whether the manager may run Jobs.
	JobsAllowed() bool
}

// Notifications has the sinks of notifications, and what they have accepted.
type Notifications interface {
	// Sinks returns the sinks as the rollouts of a namespace see them.
	Sinks(namespace string) []plan.Sink
	// Delivered returns what sinks have accepted of the deliveries of a rollout.
	Delivered(rollout types.NamespacedName) []plan.Delivered
}

// Snapshot is what a pass observed, and the objects that it read. Writes are guarded by their versions.
type Snapshot struct {
	*Rollout
	Observed plan.Observed
	// TemplateError is why the revision of the template could not be determined, if that was not a refusal: a retry
	// may help.
	TemplateError error
	// ObserveAgainAt is when to observe the cluster again for a change that no watch reports; zero if there is none to
	// wait for.
	ObserveAgainAt time.Time
	// ReplicaSets are those of Observed, orphans included, by name.
	ReplicaSets map[string]*unstructured.Unstructured
	// Services are those that were found, by name.
	Services map[string]*corev1.Service
	// Routes are those that were found.
	Routes map[Object]*unstructured.Unstructured
	// Pairs are the pairs of backends of Routes.
	Pairs map[Object]route.Pair
	// missing are the fields that the schema of a kind of routes lacks, by kind.
	missing map[string]route.Missing
}

// Shows reports whether the snapshot also shows what the memory of a newer version of the rollout asks for.
func (s *Snapshot) Shows(newer *Rollout) bool {
	return plan.SameObjects(s.Status.Memory, newer.Status.Memory)
}

// Observe reads everything that a plan is based on. It returns ErrStale if any of it is older than our own last write.
func (o *Observer) Observe(ctx context.Context, rollout *Rollout, now time.Time) (*Snapshot, error) {
	if err := o.fresh(ctx, rollout.Key(), Object{RolloutKind, rollout.Name}, rollout); err != nil {
		return nil, err
	}
	s := &observation{Observer: o, now: now, ports: map[string][]int32{}, Snapshot: &Snapshot{
		Rollout:     rollout,
		ReplicaSets: map[string]*unstructured.Unstructured{},
		Services:    map[string]*corev1.Service{},
		Routes:      map[Object]*unstructured.Unstructured{},
		Pairs:       map[Object]route.Pair{},
		missing:     map[string]route.Missing{},
	}}
	for _, observe := range []func(context.Context) error{
		s.observeReplicaSets, s.observePods, s.observeOrphans, s.observeTemplate,
		s.observeRoutes, s.observeServices, s.observeMetrics, s.observeNamespace,
	} {
		if err := observe(ctx); err != nil {
			return nil, err
		}
	}
	s.Observed.Probe = o.Probes.Result(rollout.Key())
	s.Observed.Measured = o.Measurements.Results(rollout.Key())
	s.Observed.Providers, s.Observed.JobsAllowed = o.Measurements.Providers(), o.Measurements.JobsAllowed()
	s.Observed.Sinks, s.Observed.Delivered = o.Notifications.Sinks(rollout.Namespace), o.Notifications.Delivered(rollout.Key())
	return s.Snapshot, nil
}

// observation is a Snapshot under construction.
type observation struct {
	*Observer
	*Snapshot

	// now is the clock reading of the pass.
	now time.Time
	// all are the ReplicaSets that the rollout owns; owned are those that are not being deleted.
	all, owned []*unstructured.Unstructured
	orphans    []*unstructured.Unstructured
	// digest is what follows from the spec alone.
	digest *specDigest
	// ports are the Service ports that the routes use, by the name of the Service.
	ports map[string][]int32
}

// hasMemory reports whether the status has memory: not before a pass has written it, nor after somebody removed it.
func (s *observation) hasMemory() bool { return s.Status.Memory != nil }

// observeAgain makes the next observation happen at this time or earlier.
func (s *observation) observeAgain(at time.Time) {
	if s.ObserveAgainAt.IsZero() || at.Before(s.ObserveAgainAt) {
		s.ObserveAgainAt = at
	}
}

func (s *observation) isDeleting() bool { return !s.DeletionTimestamp.IsZero() }

// checkFresh calls fresh for an object of this rollout.
func (s *observation) checkFresh(ctx context.Context, object Object, found client.Object) error {
	return s.fresh(ctx, s.Key(), object, found)
}
