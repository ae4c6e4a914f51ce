// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Input is all that a plan is made from.
type Input struct {
	// Namespace and Name are those of the rollout, for the commands in messages.
	Namespace, Name string
	// Spec is what the user wants; its optional numbers are defaulted by Compute. Without spec.replicas, what runs keeps
	// its size.
	Spec v1alpha1.CanaryRolloutSpec
	// Prior is the status as last written. Of it only Memory and History are inputs of decisions; the conditions
	// lend their transition times.
	Prior v1alpha1.CanaryRolloutStatus
	// Generation is that of the spec.
	Generation int64
	// Commands are the command annotations as they stand.
	Commands Commands
	// DeletedAt is when deletion was asked for; zero while it was not.
	DeletedAt time.Time
	// HasFinalizer says whether our finalizer is on the object.
	HasFinalizer bool
	// Observed is the cluster.
	Observed Observed
	// Now is the one clock reading of this pass.
	Now time.Time
}

// Commands are the values of the command annotations; nil where there is none.
type Commands struct {
	Promote, Abort, Retry *string
}

// Observed is what a pass saw of the cluster, in small comparable values. It is never older than the controller's own
// last write to any of these objects.
type Observed struct {
	Template Template
	// StepsHash is taken over the raw spec.steps. It tells whether they were edited.
	StepsHash   string
	ReplicaSets []ReplicaSet
	// Orphans are ReplicaSets without an owner that match the selector and could be adopted; looked for only while there
	// is no memory.
	Orphans []Orphan
	// Stable and Canary are the user's two Services: those that memory names.
	Stable, Canary Service
	// Leaving are the Services of Memory.LeavingServices. Their endpoints are not looked at.
	Leaving []Service
	// Routes are in the order of spec.traffic.routes. Those that left it follow, while memory has them.
	Routes []Route
	// Probe is what was measured for the request of the last plan; the zero value when nothing was.
	Probe Probe
	// NamespaceTerminating lets a deletion go without its traffic handed back.
	NamespaceTerminating bool
}

// ProbeRequest asks for the share of the canary to be measured, until the plan that asks for none, or for another.
type ProbeRequest struct {
	// Weight is the share to be found, in percent.
	Weight int32
	// Stable and Canary are the revisions that the two Services are meant to select.
	Stable, Canary string
	// CarriedAt is since when the last route carries the target, in microseconds since 1970: a target that was asked for
	// anew is measured anew.
	CarriedAt int64
}

// Probe is what was measured for a request.
type Probe struct {
	ProbeRequest
	// Fits says that the answers are divided as the request has it.
	Fits bool
	// Pending says what was found instead; empty while nothing was.
	Pending string
}

// Problem is something that a user has to put right; nothing is written to Services and routes until then.
type Problem struct {
	// Reason is one of the condition reasons of the API.
	Reason string
	// Message says what is wrong and what to do.
	Message string
}

// Template is spec.template, recognised.
type Template struct {
	// Hash is taken over the raw template; it only ever means "the same bytes as then".
	Hash string
	// Revision is that of an equal ReplicaSet, or a new one.
	Revision string
	// Images are the images of its containers, joined by commas.
	Images string
	// Problem is set when the API server refuses the template; Revision is then empty.
	Problem *Problem
}

// ReplicaSet is one of ours that is not being deleted.
type ReplicaSet struct {
	Name, Revision, Images string
	// Desired is its spec.replicas; the others are its status.
	Desired, Replicas, Ready, Available int32
	// Current says that the status is about the newest spec.
	Current bool
	// MinReadySeconds is that of its spec.
	MinReadySeconds int32
	// Gated says that its pods have readiness gates, which something outside of them opens.
	Gated bool
	// Created orders ReplicaSets by age.
	Created time.Time
	// Trouble says why pods are missing, or not ready; empty while nothing says so.
	Trouble string
	// Marks are what its annotations say.
	Marks Marks
}

// Marks are what the annotations of a ReplicaSet say about its revision, for a rollout that has lost its status.
type Marks struct {
	// Promotion is higher the later the revision was promoted; 0 if it never was.
	Promotion int64
	// AbortReason is why the revision was aborted; empty if it was not.
	AbortReason string
}

// Orphan is a ReplicaSet that could be adopted: it runs, or it was one of this rollout's.
type Orphan struct {
	Name, Revision string
	// Equal says that its template equals spec.template after defaulting.
	Equal bool
	// Desired is its spec.replicas.
	Desired, Ready int32
	// Marks are what its annotations say.
	Marks Marks
}

// Service is one of the user's two Services with its endpoints.
type Service struct {
	Name  string
	Found bool
	// Problem is also set when the Service is not found.
	Problem *Problem
	// Revision is the value of pod-template-hash in its selector; empty when the selector has none.
	Revision string
	// FieldManager is the field manager that wrote the selector last; empty if the object does not say.
	FieldManager string
	// Created is when the object was created, to the second.
	Created time.Time
	// Endpoints are those of its slices by revision; the ones of no ReplicaSet of ours have the revision "".
	Endpoints []Endpoints
	// Others are the names of the ready pods, or addresses, among those of no ReplicaSet of ours.
	Others []string
}

// Endpoints counts the endpoints of one revision in the slices of a Service.
type Endpoints struct {
	Revision string
	// Ready are ready to serve, by every port that the routes use; Total counts all that are still in the slices.
	Ready, Total int32
	// LacksPort says which port pods that are ready otherwise do not serve; empty when there are none.
	LacksPort string
}

// HeaderState is how the header rules that a route carries compare to the ones in memory.
type HeaderState string

// The states of a route's header rules.
const (
	// HeadersNone has no rule of ours.
	HeadersNone HeaderState = "None"
	// HeadersCurrent has exactly the rules that memory asks for, in step with their source rules.
	HeadersCurrent HeaderState = "Current"
	// HeadersOther is anything else.
	HeadersOther HeaderState = "Other"
)

// MixedWeight is the Weight of a route whose rules do not carry one share that we would have written.
const MixedWeight int32 = -1

// Unsupported are the problems of a route with what steps may ask for. Each holds a step that asks for it, and nothing else.
type Unsupported struct {
	// Mirror is about setMirrorRoute; QueryParams and Method are about what a header route matches.
	Mirror, QueryParams, Method *Problem
}

// Route is one of the user's routes.
type Route struct {
	Kind, Name string
	// RuleNames are those of the spec.
	RuleNames []string
	// Leaving says that the spec does not name it any more.
	Leaving bool
	Found   bool
	// Problem is also set when the route is not found.
	Problem *Problem
	// Generation is that of its spec.
	Generation int64
	// Weight is the canary's share in percent in every rule that has the pair, or MixedWeight.
	Weight int32
	// Mirror is the percentage of requests that our filters copy to the canary in every rule that has the pair, or
	// MixedWeight.
	Mirror int32
	// Weights are those of the pair as they stand in the spec, for people.
	Weights string
	// FieldManager is the field manager that wrote the rules last; empty if the object does not say.
	FieldManager string
	// Headers compares its header rules to Memory.StepTargets.HeaderRoutes.
	Headers HeaderState
	// Total is the greatest common divisor of the pair's totals in rules with other weighted backends, where the
	// total is the user's; 0 when there is no such rule. A weight w needs Total*w to be divisible by 100.
	Total int32
	// AcceptedGeneration is the newest generation that every parent that names one has taken without complaint; 0 when
	// a parent complains, or none names one.
	AcceptedGeneration int64
	// RefusedGeneration is the newest that a parent refuses for what the route asks for; 0 when there is none.
	RefusedGeneration int64
	// Unversioned says that every parent accepts the route, but at least one never says which generation it means.
	Unversioned bool
	// Pending says, parent by parent, what is missing while the newest generation is not accepted.
	Pending string
	// Ignored names the controllers whose entries in the status of the route do not count, each with its parent.
	Ignored string
	// Orphaned says that nothing serves the route: it names no parent, and no parent has answered for it.
	Orphaned bool
	// Unsupported is what a step may ask for that the route cannot carry, though it can be written.
	Unsupported Unsupported
	// OtherUses name what uses one of the two Services outside the pair.
	OtherUses string
}
