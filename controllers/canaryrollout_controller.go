// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/apply"
	"github.com/canaryrollout/canaryrollout/controllers/measure"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/notify"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/probe"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// +kubebuilder:rbac:groups=canaryrollout.dev,resources=canaryrollouts,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=canaryrollout.dev,resources=canarymetrics,verbs=get;list;watch
// +kubebuilder:rbac:groups=canaryrollout.dev,resources=canaryrollouts/status,verbs=patch
// +kubebuilder:rbac:groups=canaryrollout.dev,resources=canaryrollouts/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=httproutes;grpcroutes;tlsroutes;tcproutes,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=gateway.networking.k8s.io,resources=gateways;gatewayclasses,verbs=get
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconciler reconciles CanaryRollouts. It is safe for concurrent use.
type Reconciler struct {
	Observer *observe.Observer
	Applier  *apply.Applier
	// Status writes the status.
	Status client.SubResourceWriter
	// Recorder emits Events.
	Recorder events.EventRecorder
	// Prober measures weights.
	Prober *probe.Prober
	// Runner measures metrics.
	Runner *measure.Runner
	// Notifier delivers notifications.
	Notifier *notify.Runner
	// Shard has the rollouts to reconcile; all of them if it is zero.
	Shard shard.Shard
	// Manager is the lease of this manager, as namespace/name.
	Manager string
	// otherManagers detects other managers of the same rollouts.
	otherManagers otherManagers
	// kinds watches the kinds of routes that rollouts name, and CanaryMetrics.
	kinds *Kinds
	// pace delays reports.
	pace pace
	// Clock is read once for the plans of a pass, after everything has been observed.
	Clock clock.PassiveClock
	// Compute makes the plan. It is plan.Compute except in tests.
	Compute func(plan.Input) plan.Plan
}

// Reconcile makes a pass over a rollout, and those that follow from it at once.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	r.Observer.Tracker.Begin(req.NamespacedName)
	defer r.Observer.Tracker.End(req.NamespacedName)
	rollout, err := r.Observer.Rollout(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		r.forget(ctx, req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if isFinalized(rollout) {
		return ctrl.Result{}, nil
	}
	r.reportSecondManager(ctx, rollout)
	wakeAt, err := r.passes(ctx, rollout)
	if err != nil {
		return outcome(ctx, err)
	}
	return requeueAt(wakeAt, r.now()), nil // the writes of the pass took time
}

// passes observes the rollout and makes a pass. A pass that changed nothing but the rollout is followed at once by one that acts on
// what it wrote. Otherwise a command would wait for watch events, and behind other rollouts in the queue, before it reaches a route: it
// is accepted, carried out, and acted on. A further pass can use the same snapshot unless the new memory needs another one: only the
// rollout has changed, and its newest version is the one just written. It returns when to reconcile again.
func (r *Reconciler) passes(ctx context.Context, rollout *observe.Rollout) (time.Time, error) {
	snap, err := r.Observer.Observe(ctx, rollout, r.now())
	now := r.now()
	if err != nil {
		unplanned := write{rollout: rollout, version: rollout.ResourceVersion, status: rollout.Status}
		return time.Time{}, r.fail(ctx, unplanned, nil, err, now)
	}
	r.deliver(snap)
	next := r.compute(input(snap, now))
	written, wakeAt, err := r.pass(ctx, snap, next, now)
	for err == nil && changesOnlyRollout(next.Actions) && written != snap.Rollout && snap.Shows(written) {
		snap.Rollout = written
		following := r.compute(input(snap, now))
		if len(following.Actions) == 0 {
			break
		}
		next = following
		written, wakeAt, err = r.pass(ctx, snap, next, now)
	}
	if err == nil {
		snap.Rollout = written
		r.deliver(snap)
		r.Prober.Measure(ctx, snap.Key(), probeRequest(snap, next))
		r.Runner.Want(snap.Key(), next.Measurements)
	}
	return earliest(wakeAt, snap.ObserveAgainAt), cmp.Or(err, snap.TemplateError)
}

// deliver has the notifications delivered that are in the stored memory. A pass that fails leaves what it has stored to the next one.
func (r *Reconciler) deliver(snap *observe.Snapshot) {
	in := plan.Input{Spec: snap.Spec, Prior: snap.Status, Observed: plan.Observed{Sinks: snap.Observed.Sinks}}
	r.Notifier.Deliver(notify.Rollout{NamespacedName: snap.Key(), UID: snap.UID}, plan.Deliveries(&in))
}

// changesOnlyRollout reports whether the actions change nothing but annotations of the rollout, or there are none.
func changesOnlyRollout(actions []plan.Action) bool {
	return !slices.ContainsFunc(actions, func(action plan.Action) bool {
		_, isRemoval := action.(plan.RemoveAnnotations)
		return !isRemoval
	})
}

// probeRequest returns the measurement that a plan asks for, or nil.
func probeRequest(snap *observe.Snapshot, next plan.Plan) *probe.Request {
	if next.Probe() == nil || snap.Spec.Traffic.Probe == nil {
		return nil
	}
	return &probe.Request{ProbeRequest: *next.Probe(), Probe: *snap.Spec.Traffic.Probe}
}

// pass applies a plan, writes the status and reports. It returns the rollout as it was written, and when to make the next pass if
// nothing happens before.
func (r *Reconciler) pass(ctx context.Context, snap *observe.Snapshot, next plan.Plan, now time.Time) (*observe.Rollout, time.Time, error) {
	log.FromContext(ctx).V(1).Info("Planned", "state", next.Status.State, "actions", len(next.Actions), "message", next.Status.Message)
	change, err := newStatusChange(&snap.Status, &next.Status)
	if err != nil {
		return nil, time.Time{}, err
	}
	isChanged := !change.isNone()
	result, err := r.apply(ctx, snap, next, isChanged)
	written := write{rollout: snap.Rollout, version: result.ResourceVersion, status: next.Status, change: change, isAwaited: next.Unfinished}
	if err != nil {
		if isStaleWrite(err) || !plan.IsRemembered(result.Failed) {
			written.status, next.Events = snap.Status, nil
		}
		return nil, time.Time{}, r.fail(ctx, written, next.Events, err, now)
	}
	if result.FinalizerRemoved {
		written.change = statusChange{} // there may be no rollout left to write a status to
	}
	wakeAt := next.WakeAt
	if len(next.Actions) > 0 {
		wakeAt = earliest(wakeAt, now.Add(reactionTime))
	}
	if due := r.reportAt(snap, next, now); isChanged && due.After(now) {
		return snap.Rollout, earliest(wakeAt, due), nil
	}
	if err := r.writeStatus(ctx, &written); err != nil {
		return nil, time.Time{}, err
	}
	if written.rollout != snap.Rollout {
		r.pace.wrote(snap.Key(), now)
	}
	metrics.Record(&snap.CanaryRollout, &written.rollout.CanaryRollout)
	r.report(written.rollout, next.Events)
	return written.rollout, wakeAt, nil
}

// reportAt returns when the status of a plan is to be written: now, or a moment later if nobody waits for it. The pass at that
// time makes it again, so what is written is what holds then. A pass that ends with an error is followed by one after a backoff, and
// not by one at that time.
func (r *Reconciler) reportAt(snap *observe.Snapshot, next plan.Plan, now time.Time) time.Time {
	due := r.pace.due(snap.Key(), now)
	if len(next.Events) > 0 || snap.TemplateError != nil || due.After(now) && !plan.MayWait(snap.Status, next.Status) {
		return now
	}
	return due
}

// earliest returns the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// apply applies the plan, once the snapshot is known to be current.
func (r *Reconciler) apply(ctx context.Context, snap *observe.Snapshot, next plan.Plan, isChanged bool) (apply.Result, error) {
	if isChanged || len(next.Actions) > 0 {
		if err := r.Observer.Confirm(ctx, snap.Rollout, plan.NeedsLiveRead(next.Actions)); err != nil {
			return apply.Result{ResourceVersion: snap.ResourceVersion}, err
		}
	}
	actionsCtx, cancel := context.WithTimeout(ctx, actionsTimeout)
	defer cancel()
	result, err := r.Applier.Apply(actionsCtx, snap, next.Actions)
	for _, w := range result.Writes {
		r.Observer.Tracker.Wrote(snap.Key(), w)
	}
	r.report(snap.Rollout, result.Events)
	r.noteTakenName(snap, result.Failed, err)
	return result, err
}

// compute makes the plan. It keeps the prior status's manager, so that another writer alone is no reason to write a
// status.
func (r *Reconciler) compute(in plan.Input) plan.Plan {
	next := r.Compute(in)
	next.Status.Manager = in.Prior.Manager
	return next
}

// input returns the input of a plan.
func input(snap *observe.Snapshot, now time.Time) plan.Input {
	in := plan.Input{
		Namespace: snap.Namespace, Name: snap.Name,
		Spec: snap.Spec, Prior: snap.Status, Generation: snap.Generation,
		Commands: plan.Commands{
			Promote: annotation(snap, v1alpha1.PromoteAnnotation),
			Abort:   annotation(snap, v1alpha1.AbortAnnotation),
			Retry:   annotation(snap, v1alpha1.RetryAnnotation),
		},
		Users: plan.Users{
			AppliedBy:  snap.Annotations[v1alpha1.AppliedByAnnotation],
			PromotedBy: snap.Annotations[v1alpha1.PromotedByAnnotation],
			AbortedBy:  snap.Annotations[v1alpha1.AbortedByAnnotation],
			RetriedBy:  snap.Annotations[v1alpha1.RetriedByAnnotation],
		},
		HasFinalizer: controllerutil.ContainsFinalizer(snap.Rollout, v1alpha1.Finalizer),
		Observed:     snap.Observed, Now: now,
	}
	if snap.DeletionTimestamp != nil {
		in.DeletedAt = snap.DeletionTimestamp.Time
	}
	return in
}

func annotation(snap *observe.Snapshot, key string) *string {
	if value, found := snap.Annotations[key]; found {
		return &value
	}
	return nil
}

// isFinalized reports whether a rollout is being deleted and no longer has our finalizer.
func isFinalized(rollout *observe.Rollout) bool {
	return rollout.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(rollout, v1alpha1.Finalizer)
}

// now returns the time at the precision that a status keeps. Plans get a reading from after the observation, which may have taken
// seconds: what a plan finds for the first time counts from then. If it counted from before it was so, it would have settled too early.
func (r *Reconciler) now() time.Time { return r.Clock.Now().Truncate(time.Microsecond) }

func (r *Reconciler) forget(ctx context.Context, rollout types.NamespacedName) {
	r.Observer.Tracker.Forget(rollout)
	r.pace.forget(rollout)
	r.Prober.Measure(ctx, rollout, nil)
	r.Runner.Want(rollout, nil)
	r.Notifier.Forget(rollout)
	r.otherManagers.forget(rollout)
	metrics.Forget(rollout)
}

// requeueAt turns a time into a delay. A time that is already due must not become zero, which means no requeue. The
// later pass is like any other, whatever the priority of this one.
func requeueAt(at, now time.Time) ctrl.Result {
	if at.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(at.Sub(now), time.Millisecond), Priority: ptr.To(defaultPriority)}
}
