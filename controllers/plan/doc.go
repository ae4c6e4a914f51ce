// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan makes the decisions. Compute is a total, deterministic function of small values: no client, no clock, no log.
// All knowledge about rollouts is here, and none about API objects.
//
// # How a pass works
//
// A pass first derives its actions from the memory as it was last written, and from what was observed: wherever an
// object differs from its target in memory, the target is written. That one rule creates, moves and repairs objects, so a
// restart, a GitOps overwrite or a manual edit needs no code of its own (T6). Then it computes the next memory. So a target
// is in the status before an object is changed for it, and an action never relies on the effect of another action in the
// same plan: any prefix of a plan is safe.
//
// A pass makes move after move, until one needs an action or another observation (sequence.go).
//
// # Types
//
// What a function may do shows in its receiver.
//
//	view        reads: what was observed, and one memory. Its gates tell whether something may happen now, and what that
//	            waits for.
//	writes      makes the actions, from a view of the memory as last written. It cannot see the next one.
//	transition  owns the memory after one move of the state machine.
//	summary     makes the report: state, message, conditions. It decides nothing.
//	notes       collects waits, wake-ups and Events. await is the only query that writes to it.
//
// How requests get to a revision is a strategy, apart from what is common to all releases. gatewayCanary, the only one, is
// in the files gateway*.go, which hold the rules T1 to T9. What a kind of step does is in step_kinds.go.
//
// # What moves
//
// Memory holds three targets: the canary's share of traffic (with the mirror and the header routes), the revision of the stable
// Service, and the revision of the canary Service. Promotions and rollbacks are walks over these three. Their stage is
// derived from the targets, so there is no cursor that could be wrong after a crash.
//
//	Promoting (T8)                          RollingBack (T9)
//	canary Service -> new, ready, settled   if the stable Service has moved:
//	weight 100, verified, settled             weight 100, verified, settled
//	stable Service -> new, ready, settled     stable Service -> stable, ready, settled
//	weight 0, verified, settled             weight 0, verified, settled
//	commit: new is stable                   canary Service -> stable
//
// # Phases
//
//	Idle         nothing in flight. A new template starts Stepping; an aborted one waits for a retry.
//	Stepping     walks the steps, then Promoting. Another template or an abort: RollingBack.
//	Promoting    T8, then Idle. A first deploy is Promoting without a stable revision. Another template or an abort:
//	             RollingBack.
//	RollingBack  T9, then Idle, where the template in the spec decides what comes next.
//
// # Invariants
//
// They hold for every plan in every reachable world; the model check walks them all.
//
//	T1  A Service moves to another revision only while it gets no requests: weight 0, no header route, verified and
//	    settled; or while it has no ready endpoint that could be lost.
//	T2  A revision's weight rises only when its Service has enough ready endpoints of it, settled after a move.
//	T3  A revision's last pods are deleted only when neither Service selects it, its endpoints have left their slices, and
//	    settleSeconds and scaleDownDelaySeconds have passed.
//	T4  No promotion, rollback or step continues before every route is verified, and measured where there is a probe.
//	T9  An abort moves all weight to a stable revision with a ready endpoint in the pass after it was seen.
package plan
