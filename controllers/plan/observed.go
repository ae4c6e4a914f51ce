// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Input is everything that a plan depends on.
type Input struct {
	// Namespace and Name are those of the rollout, for the commands in messages.
	Namespace, Name string
	// Spec is the spec of the rollout. Compute defaults its optional numbers. Without spec.replicas, running revisions keep
	// their size.
	Spec v1alpha1.CanaryRolloutSpec
	// Prior is the status as last written. Decisions use only its Memory and History. Its conditions provide their transition
	// times.
	Prior v1alpha1.CanaryRolloutStatus
	// Generation is that of the spec.
	Generation int64
	// Commands are the current command annotations.
	Commands Commands
	// Users are the current annotations that name users.
	Users Users
	// DeletedAt is when deletion was requested; zero if it was not.
	DeletedAt time.Time
	// HasFinalizer is set if our finalizer is on the object.
	HasFinalizer bool
	// Observed is the cluster.
	Observed Observed
	// Now is the time of this pass. The clock is read once.
	Now time.Time
}

// Commands are the values of the command annotations; nil for those that are not set.
type Commands struct {
	Promote, Abort, Retry *string
}

// Users are who applied the template, and who gave each command; empty if that is not known.
type Users struct {
	AppliedBy, PromotedBy, AbortedBy, RetriedBy string
}

// Observed is what a pass saw of the cluster, in small comparable values. It is never older than the controller's own
// last write to any of these objects.
type Observed struct {
	Template Template
	// StepsHash is a hash of the raw spec.steps. It shows whether they were edited.
	StepsHash   string
	ReplicaSets []ReplicaSet
	// Orphans are ReplicaSets without an owner that match the selector and could be adopted. They are listed only while there
	// is no memory.
	Orphans []Orphan
	// Stable and Canary are the user's two Services: those that memory names.
	Stable, Canary Service
	// Leaving are the Services of Memory.LeavingServices. Their endpoints are not observed.
	Leaving []Service
	// Routes are in the order of spec.traffic.routes, followed by those that left the spec and are still in memory.
	Routes []Route
	// Probe is what was measured for the request of the last plan; the zero value if nothing was.
	Probe Probe
	// Measured are the results of the measurements that the last plan asked for, as far as they have ended.
	Measured []Measured
	// Providers are the metric providers of the operator, by name.
	Providers map[string]Provider
	// Metrics are the CanaryMetrics that the spec refers to.
	Metrics []SharedMetric
	// JobsAllowed is set if the manager may run Jobs.
	JobsAllowed bool
	// Sinks are the sinks of notifications that the rollout may name, or has by default, in the order of their names.
	Sinks []Sink
	// Delivered is what sinks have accepted of the deliveries that were asked for.
	Delivered []Delivered
	// NamespaceTerminating lets a deletion finish before its traffic is handed back.
	NamespaceTerminating bool
}

// ProbeRequest asks for the share of the canary to be measured, until a plan makes no request or another one.
type ProbeRequest struct {
	// Weight is the expected share, in percent.
	Weight int32
	// Stable and Canary are the revisions that the two Services are meant to select.
	Stable, Canary string
	// CarriedAt is when the last route began to carry the target, in microseconds since 1970. It distinguishes the request
	// from an earlier one with the same target, which has to be measured again.
	CarriedAt int64
}

// Probe is what was measured for a request.
type Probe struct {
	ProbeRequest
	// Fits is set if the responses have the requested share.
	Fits bool
	// Pending is what was found instead; empty if nothing was.
	Pending string
}

// Problem is something that a user has to fix. Nothing is written to the affected Services and routes until then.
type Problem struct {
	// Reason is one of the condition reasons of the API.
	Reason string
	// Message tells what is wrong and what to do.
	Message string
}

// Template is spec.template, matched to a revision.
type Template struct {
	// Hash is a hash of the raw template. Equal hashes mean equal bytes, and nothing else.
	Hash string
	// Revision is that of a ReplicaSet with an equal template, or a new one.
	Revision string
	// Images are the images of its containers, joined by commas.
	Images string
	// Problem is set if the API server rejects the template; Revision is then empty.
	Problem *Problem
}

// ReplicaSet is one of our ReplicaSets that is not being deleted.
type ReplicaSet struct {
	Name, Revision, Images string
	// Desired is its spec.replicas; the others are its status.
	Desired, Replicas, Ready, Available int32
	// Current is set if the status is about the newest spec.
	Current bool
	// MinReadySeconds is that of its spec.
	MinReadySeconds int32
	// Gated is set if its pods have readiness gates, which another controller sets.
	Gated bool
	// Created orders ReplicaSets by age.
	Created time.Time
	// Trouble is why pods are missing or not ready; empty if that is not known.
	Trouble string
	// Marks are the marks in its annotations.
	Marks Marks
}

// Marks record the state of a revision in the annotations of its ReplicaSet, for a rollout that has lost its status.
type Marks struct {
	// Promotion grows with each promotion, so the highest is the latest; 0 if the revision was never promoted.
	Promotion int64
	// AbortReason is why the revision was aborted; empty if it was not.
	AbortReason string
}

// Orphan is a ReplicaSet that could be adopted: it runs, or it was one of this rollout's.
type Orphan struct {
	Name, Revision string
	// Equal is set if its template equals spec.template after defaulting.
	Equal bool
	// Desired is its spec.replicas.
	Desired, Ready int32
	// Marks are the marks in its annotations.
	Marks Marks
}

// Service is one of the user's two Services with its endpoints.
type Service struct {
	Name  string
	Found bool
	// Problem is also set if the Service is not found.
	Problem *Problem
	// Revision is the value of pod-template-hash in its selector; empty if the selector has none.
	Revision string
	// FieldManager is the field manager that wrote the selector last; empty if the object does not tell.
	FieldManager string
	// Created is when the object was created, to the second.
	Created time.Time
	// Endpoints counts those in its slices by revision. Those of no ReplicaSet of ours have the revision "".
	Endpoints []Endpoints
	// Others are the names of the ready pods, or addresses, among those of no ReplicaSet of ours.
	Others []string
}

// Endpoints counts the endpoints of one revision in the slices of a Service.
type Endpoints struct {
	Revision string
	// Ready counts those that are ready to serve, at every port that the routes use; Total counts all that are still in the
	// slices.
	Ready, Total int32
	// LacksPort tells which port is not served by pods that are ready otherwise; empty if there are none.
	LacksPort string
}

// HeaderState is how the header rules that a route carries compare to the ones in memory.
type HeaderState string

// The states of a route's header rules.
const (
	// HeadersNone has no rule of ours.
	HeadersNone HeaderState = "None"
	// HeadersCurrent has exactly the rules in memory, up to date with their source rules.
	HeadersCurrent HeaderState = "Current"
	// HeadersOther is anything else.
	HeadersOther HeaderState = "Other"
)

// MixedWeight is the Weight of a route whose rules do not all carry the same share, as we would have written it.
const MixedWeight int32 = -1

// Unsupported are the problems of a route with features that steps may use. Each blocks the steps that use the feature, and
// nothing else.
type Unsupported struct {
	// Mirror is about setMirrorRoute; QueryParams and Method are about what a header route matches.
	Mirror, QueryParams, Method *Problem
}

// Route is one of the user's routes.
type Route struct {
	Kind, Name string
	// RuleNames are those of the spec.
	RuleNames []string
	// Leaving is set if the route is no longer in the spec.
	Leaving bool
	Found   bool
	// Problem is also set if the route is not found.
	Problem *Problem
	// Generation is that of its spec.
	Generation int64
	// Weight is the canary's share in percent in every rule that has the pair, or MixedWeight.
	Weight int32
	// Mirror is the percentage of requests that our filters copy to the canary in every rule that has the pair, or
	// MixedWeight.
	Mirror int32
	// Weights are those of the pair in the spec, for people.
	Weights string
	// FieldManager is the field manager that wrote the rules last; empty if the object does not tell.
	FieldManager string
	// Headers compares its header rules to Memory.StepTargets.HeaderRoutes.
	Headers HeaderState
	// Total is the greatest common divisor of the pair's totals in rules with other weighted backends, where the
	// total is the user's; 0 when there is no such rule. A weight w needs Total*w to be divisible by 100.
	Total int32
	// AcceptedGeneration is the newest generation that every parent with an observedGeneration has accepted; 0 if a parent
	// does not accept the route, or none reports a generation.
	AcceptedGeneration int64
	// RefusedGeneration is the newest generation that a parent refuses because of its content; 0 if there is none.
	RefusedGeneration int64
	// Unversioned is set if every parent accepts the route, but at least one reports no generation.
	Unversioned bool
	// Pending tells for each parent what is missing while the newest generation is not accepted.
	Pending string
	// Ignored names the controllers whose entries in the status of the route do not count, each with its parent.
	Ignored string
	// Orphaned is set if nothing serves the route: it names no parent, and no parent reports a status for it.
	Orphaned bool
	// Unsupported are the features that steps may use and the route can be written with, but cannot carry.
	Unsupported Unsupported
	// OtherUses names other uses of one of the two Services, outside of the pair.
	OtherUses string
}
