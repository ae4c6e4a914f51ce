// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/apply"
	"github.com/canaryrollout/canaryrollout/controllers/measure"
	"github.com/canaryrollout/canaryrollout/controllers/notify"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/probe"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

var (
	key   = types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}
	start = time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)
)

func aRollout() *observe.Rollout {
	return &observe.Rollout{CanaryRollout: v1alpha1.CanaryRollout{
		TypeMeta: metav1.TypeMeta{APIVersion: "canaryrollout.dev/v1alpha1", Kind: "CanaryRollout"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, UID: "u", Generation: 3,
			Annotations: map[string]string{v1alpha1.AbortAnnotation: "too slow"},
		},
		Spec: v1alpha1.CanaryRolloutSpec{Template: builder.Template(corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "reviews", Image: "reviews:v1"}},
		}})},
		Status: v1alpha1.CanaryRolloutStatus{Memory: &v1alpha1.Memory{}},
	}}
}

// harness is a Reconciler on a fake cluster, with a planner that returns what the test sets.
type harness struct {
	*Reconciler
	client.WithWatch
	events   *events.FakeRecorder
	requests []string
	// fail are the errors that requests return, by the request's name; hang are the requests that are never answered.
	fail map[string]error
	hang map[string]bool
	// plan is the next plan; in is the input that it was requested with.
	plan plan.Plan
	in   *plan.Input
}

func newHarness(t *testing.T, objects ...client.Object) *harness {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{events: events.NewFakeRecorder(100), fail: map[string]error{}}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&observe.Rollout{})
	for _, index := range observe.Indexes() {
		builder = builder.WithIndex(index.Object, index.Field, index.Values)
	}
	h.WithWatch = builder.WithInterceptorFuncs(h.interceptors()).Build()
	live := interceptor.NewClient(h.WithWatch, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, at client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			h.requests = append(h.requests, "get")
			return c.Get(ctx, at, into, opts...)
		},
	})
	prober, runner := probe.NewProber(probe.Allow{}), measure.NewRunner(measure.Providers{}, nil)
	notifier := notify.NewRunner(notify.Sinks{})
	h.Reconciler = &Reconciler{
		Observer: &observe.Observer{
			Cache: h.WithWatch, Live: live, Normalizer: dryRun{h.WithWatch}, Kinds: NewKinds(), Tracker: &observe.Tracker{}, Pods: observe.NewPods(live),
			Probes: prober, Measurements: runner, Notifications: notifier,
		},
		Applier: &apply.Applier{Writer: h.WithWatch}, Status: h.WithWatch.Status(), Recorder: h.events,
		Prober: prober, Runner: runner, Notifier: notifier,
		Clock: testingclock.NewFakePassiveClock(start),
		Compute: func(in plan.Input) plan.Plan {
			h.in = &in
			return h.plan
		},
	}
	return h
}

func (h *harness) interceptors() interceptor.Funcs {
	request := func(ctx context.Context, name string) error {
		h.requests = append(h.requests, name)
		if h.hang[name] {
			<-ctx.Done()
			return ctx.Err()
		}
		return h.fail[name]
	}
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			name := "create"
			if len((&client.CreateOptions{}).ApplyOptions(opts).DryRun) > 0 {
				name = "dry run"
			}
			if err := request(ctx, name); err != nil {
				return err
			}
			return c.Create(ctx, object, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if err := request(ctx, "patch"); err != nil {
				return err
			}
			return c.Patch(ctx, object, patch, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			if err := request(ctx, sub); err != nil {
				return err
			}
			options := client.SubResourcePatchOptions{}
			if options.ApplyOptions(opts); options.AsPatchOptions().FieldValidation != metav1.FieldValidationStrict {
				return errors.New("the API server would drop fields that it does not know")
			}
			return c.SubResource(sub).Patch(ctx, object, patch, opts...)
		},
	}
}

func (h *harness) reconcile(t *testing.T) (ctrl.Result, error) {
	t.Helper()
	h.requests = nil
	return h.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
}

func (h *harness) stored(t *testing.T) *observe.Rollout {
	t.Helper()
	rollout := &observe.Rollout{}
	if err := h.Get(t.Context(), key, rollout); err != nil {
		t.Fatal(err)
	}
	return rollout
}

func (h *harness) wantRequests(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func (h *harness) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for len(h.events.Events) > 0 {
		got = append(got, <-h.events.Events)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func withMessage(message string) v1alpha1.CanaryRolloutStatus {
	return v1alpha1.CanaryRolloutStatus{Message: message, Memory: &v1alpha1.Memory{Template: v1alpha1.TemplateMemory{Hash: "h", Revision: "r"}}}
}

func TestReconcile(t *testing.T) {
	h := newHarness(t, aRollout())
	h.plan = plan.Plan{
		Actions: []plan.Action{plan.AddFinalizer{}, plan.RemoveAnnotations{Keys: []string{v1alpha1.AbortAnnotation}}},
		Status:  withMessage("first"),
		Events:  []plan.Event{{Reason: "A", Message: "100% of it"}, {Warning: true, Reason: "B", Message: "x"}, {Warning: true, Reason: "B", Message: "y"}},
		WakeAt:  start.Add(7 * time.Second),
	}
	result, err := h.reconcile(t)
	if err != nil || result.RequeueAfter != reactionTime {
		t.Fatalf("result = %+v, %v", result, err)
	}
	h.wantRequests(t, "dry run", "get", "patch", "patch", "status")
	h.wantEvents(t, "Normal A 100% of it", "Warning B x; y")
	stored := h.stored(t)
	if stored.Status.Message != "first" || len(stored.Annotations) != 0 || len(stored.Finalizers) != 1 {
		t.Errorf("stored = %+v", stored)
	}
	if in := h.in; *in.Commands.Abort != "too slow" || in.Commands.Promote != nil || in.HasFinalizer || in.Generation != 3 ||
		!in.DeletedAt.IsZero() || in.Now != start.Truncate(time.Microsecond) {
		t.Errorf("input = %+v", in)
	}

	h.plan = plan.Plan{Status: stored.Status}
	if result, err := h.reconcile(t); err != nil || result.RequeueAfter != 0 {
		t.Errorf("at rest: %+v, %v", result, err)
	}
	h.wantEvents(t)
}

// TestReconcileLooksAgain checks that no second pass uses a view that was made for other header routes: it would take the
// rules of the old ones for those of the new ones, and a weight for verified (T4).
func TestReconcileLooksAgain(t *testing.T) {
	other := []v1alpha1.SetHeaderRoute{{Name: "qa"}}
	for name, tc := range map[string]struct {
		memory v1alpha1.Memory
		passes int
	}{
		"the same":          {v1alpha1.Memory{}, 2},
		"header routes":     {v1alpha1.Memory{StepTargets: v1alpha1.StepTargetsMemory{HeaderRoutes: other}}, 1},
		"a Service's name":  {v1alpha1.Memory{CanaryService: v1alpha1.ServiceMemory{Name: "reviews"}}, 1},
		"a Service leaves":  {v1alpha1.Memory{LeavingServices: []string{"reviews"}}, 1},
		"another route":     {v1alpha1.Memory{Routes: []v1alpha1.ManagedRoute{{Kind: "HTTPRoute", Name: "reviews"}}}, 1},
		"header routes end": {v1alpha1.Memory{StepTargets: v1alpha1.StepTargetsMemory{Weight: 5}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			rollout := aRollout()
			if tc.memory.StepTargets.Weight > 0 {
				rollout.Status.Memory.StepTargets.HeaderRoutes = other
			}
			h := newHarness(t, rollout)
			passes := 0
			h.Compute = func(plan.Input) plan.Plan {
				if passes++; passes > 1 {
					return plan.Plan{Actions: []plan.Action{plan.AddFinalizer{}}, Status: withMessage("second")}
				}
				status := withMessage("first")
				tc.memory.Template = status.Memory.Template
				status.Memory = &tc.memory
				return plan.Plan{Status: status}
			}
			if _, err := h.reconcile(t); err != nil || passes != tc.passes {
				t.Errorf("%d plans, want %d; %v", passes, tc.passes, err)
			}
		})
	}
}

// TestReconcileGoesOn checks that a pass acts at once on targets that it has just written, based on the version that it
// wrote, and stops if there is no action for them.
func TestReconcileGoesOn(t *testing.T) {
	h := newHarness(t, aRollout())
	follow := plan.Plan{
		Actions: []plan.Action{plan.AddFinalizer{}}, Status: withMessage("second"),
		Events: []plan.Event{{Reason: "B", Message: "second"}}, WakeAt: start.Add(time.Hour),
	}
	var seen []string
	h.Compute = func(in plan.Input) plan.Plan {
		seen = append(seen, in.Prior.Message)
		if in.Prior.Message == "first" {
			return follow
		}
		return plan.Plan{Status: withMessage("first"), Events: []plan.Event{{Reason: "A", Message: "first"}}, WakeAt: start.Add(time.Minute)}
	}
	result, err := h.reconcile(t)
	if err != nil || result.RequeueAfter != reactionTime {
		t.Fatalf("result = %+v, %v", result, err)
	}
	h.wantRequests(t, "dry run", "get", "status", "patch", "status")
	h.wantEvents(t, "Normal A first", "Normal B second")
	if stored := h.stored(t); stored.Status.Message != "second" || len(stored.Finalizers) != 1 {
		t.Errorf("stored = %+v", stored)
	}

	seen, follow.Actions = nil, nil
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	h.wantRequests(t, "dry run", "status")
	if diff := cmp.Diff([]string{"second", "first"}, seen); diff != "" {
		t.Errorf("planned from (-want +got):\n%s", diff)
	}
}

// TestReconcileCommandAtOnce checks that a command is accepted, carried out and acted on in one reconciliation. The watch events of
// its writes would be queued behind those of other rollouts.
func TestReconcileCommandAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		carriedOut []plan.Action
		requests   []string
	}{
		"the annotation alone": {
			[]plan.Action{plan.RemoveAnnotations{Keys: []string{v1alpha1.AbortAnnotation}}},
			[]string{"dry run", "get", "status", "patch", "status", "patch", "status"},
		},
		"and another object": {
			[]plan.Action{plan.RemoveAnnotations{Keys: []string{v1alpha1.AbortAnnotation}}, plan.AddFinalizer{}},
			[]string{"dry run", "get", "status", "patch", "patch", "status"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, aRollout())
			event := []plan.Event{{Reason: "A", Message: "somebody waits for the status"}}
			plans := map[string]plan.Plan{
				"":            {Status: withMessage("accepted"), Events: event},
				"accepted":    {Status: withMessage("carried out"), Events: event, Actions: tc.carriedOut},
				"carried out": {Status: withMessage("acted on"), Events: event, Actions: []plan.Action{plan.AddFinalizer{}}},
			}
			h.Compute = func(in plan.Input) plan.Plan { return plans[in.Prior.Message] }
			if _, err := h.reconcile(t); err != nil {
				t.Fatal(err)
			}
			h.wantRequests(t, tc.requests...)
			if stored := h.stored(t); len(stored.Annotations) != 0 || len(stored.Finalizers) != 1 {
				t.Errorf("stored = %+v", stored)
			}
		})
	}
}

// TestReconcileAtRest has a remembered template and nothing to do: it sends no request.
func TestReconcileAtRest(t *testing.T) {
	h := newHarness(t, aRollout())
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	rollout := h.stored(t)
	rollout.Status.Memory = &v1alpha1.Memory{Template: v1alpha1.TemplateMemory{Hash: h.in.Observed.Template.Hash, Revision: "r"}}
	if err := h.WithWatch.Status().Update(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	h.plan = plan.Plan{Status: rollout.Status, Events: []plan.Event{{Reason: "A", Message: "told all the same"}}}
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	h.wantRequests(t)
	h.wantEvents(t, "Normal A told all the same")
}

func TestReconcileErrors(t *testing.T) {
	replicaSets := appsv1.Resource("replicasets")
	invalid := apierrors.NewInvalid(appsv1.SchemeGroupVersion.WithKind("ReplicaSet").GroupKind(), "x", nil)
	told := []string{"Normal A m", "Warning ReconcileError *"}
	denied := func(err *apierrors.StatusError) error {
		err.ErrStatus.Message = `admission webhook "policy.example.com" denied the request: no such team`
		return err
	}
	for name, tc := range map[string]struct {
		request string
		err     error
		after   time.Duration
		isError bool
		message string   // of the status, or empty if none is written
		events  []string // with the message in place of *
	}{
		"conflict on an action":        {"create", apierrors.NewConflict(replicaSets, "x", nil), conflictBackstop, false, "", nil},
		"the object has gone":          {"create", apierrors.NewNotFound(replicaSets, "x"), conflictBackstop, false, "", nil},
		"the name is taken":            {"create", apierrors.NewAlreadyExists(replicaSets, "x"), conflictBackstop, false, "", nil},
		"conflict on the status":       {"status", apierrors.NewConflict(replicaSets, "x", nil), conflictBackstop, false, "", nil},
		"forbidden":                    {"create", apierrors.NewForbidden(replicaSets, "x", errors.New("quota")), 0, true, "quota", told},
		"invalid":                      {"create", invalid, 0, true, "is invalid", told},
		"denied with 404":              {"create", denied(apierrors.NewNotFound(replicaSets, "x")), 0, true, "no such team", told},
		"denied with 409":              {"create", denied(apierrors.NewConflict(replicaSets, "x", nil)), 0, true, "no such team", told},
		"the API server is overloaded": {"create", apierrors.NewTooManyRequests("later", 1), 0, true, "planned", []string{"Normal A m", "Normal " + plan.EventRecovered + " over"}},
		"the process ends":             {"create", context.Canceled, 0, false, "planned", []string{"Normal A m", "Normal " + plan.EventRecovered + " over"}},
		"the finalizer is refused":     {"patch", apierrors.NewForbidden(replicaSets, "x", errors.New("policy")), 0, true, "policy", told[1:]},
		"no answer to the dry run":     {"dry run", apierrors.NewTooManyRequests("later", 1), 0, true, "planned", []string{"Normal A m", "Normal " + plan.EventRecovered + " over"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, aRollout())
			h.fail[tc.request] = tc.err
			h.plan = plan.Plan{
				Actions: []plan.Action{plan.AddFinalizer{}, plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h"}},
				Status:  withMessage("planned"), Events: []plan.Event{{Reason: "A", Message: "m"}, {Reason: plan.EventRecovered, Message: "over"}},
			}
			result, err := h.reconcile(t)
			if result.RequeueAfter != tc.after || (err != nil) != tc.isError {
				t.Errorf("result = %+v, %v", result, err)
			}
			status := h.stored(t).Status
			if !strings.Contains(status.Message, tc.message) || (status.Message == "") != (tc.message == "") {
				t.Errorf("message = %q, want %q in it", status.Message, tc.message)
			}
			isRemembered := status.Memory.Template.Hash != ""
			if want := tc.message != "" && tc.request != "patch"; isRemembered != want {
				t.Errorf("memory = %+v, want it written: %t", status.Memory, want)
			}
			var want []string
			for _, event := range tc.events {
				want = append(want, strings.Replace(event, "*", status.Message, 1))
			}
			h.wantEvents(t, want...)

			h.plan.Events = nil
			if _, err := h.reconcile(t); tc.message != "" && h.stored(t).Status.Message != status.Message {
				t.Errorf("the same once more says %q, %v", h.stored(t).Status.Message, err)
			}
			h.wantEvents(t)
		})
	}
}

// TestReconcileCommandOnce has a write that fails before the annotation of a command is removed. The pass is not
// remembered; otherwise the next one would find the annotation again and carry out the command twice.
func TestReconcileCommandOnce(t *testing.T) {
	h := newHarness(t, aRollout())
	h.fail["create"] = apierrors.NewTooManyRequests("later", 1)
	h.plan = plan.Plan{
		Actions: []plan.Action{
			plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h"},
			plan.RemoveAnnotations{Keys: []string{v1alpha1.AbortAnnotation}},
		},
		Status: withMessage("carried out"),
	}
	if _, err := h.reconcile(t); err == nil {
		t.Error("the failure was not handed on")
	}
	if stored := h.stored(t); len(stored.Annotations) != 1 || stored.Status.Message != "" {
		t.Errorf("the annotations are %v, and the status says %q", stored.Annotations, stored.Status.Message)
	}
	delete(h.fail, "create")
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	if stored := h.stored(t); len(stored.Annotations) != 0 || stored.Status.Message != "carried out" {
		t.Errorf("the annotations are %v, and the status says %q", stored.Annotations, stored.Status.Message)
	}
}

// TestReconcileEventOfAction has a pass that fails after the annotation of a command was removed: by a later action, or by the
// status. The next pass does not see the annotation, so its Event is emitted by this one.
func TestReconcileEventOfAction(t *testing.T) {
	conflict := apierrors.NewConflict(corev1.Resource("x"), "x", errors.New("modified"))
	ignored := plan.Event{Warning: true, Reason: plan.EventCommandIgnored, Message: "retry=true is ignored"}
	for _, request := range []string{"create", "status"} {
		t.Run(request, func(t *testing.T) {
			h := newHarness(t, aRollout())
			h.fail[request] = conflict
			h.plan = plan.Plan{
				Actions: []plan.Action{
					plan.RemoveAnnotations{Keys: []string{v1alpha1.AbortAnnotation}, Event: ignored},
					plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h"},
				},
				Status: withMessage("next"),
				Events: []plan.Event{{Reason: "Transition", Message: "m"}},
			}
			if _, err := h.reconcile(t); err != nil {
				t.Errorf("a conflict is an error: %v", err)
			}
			h.wantEvents(t, "Warning CommandIgnored retry=true is ignored")
		})
	}
}

// TestReconcileStatusRefused has a CRD that does not know a field of the status. Nothing is dropped silently: the
// write is rejected, and an Event says so, since the status cannot.
func TestReconcileStatusRefused(t *testing.T) {
	h := newHarness(t, aRollout())
	h.fail["status"] = apierrors.NewBadRequest(`strict decoding error: unknown field "status.memory.version"`)
	h.plan = plan.Plan{Status: withMessage("planned"), Events: []plan.Event{{Reason: "A", Message: "m"}}}
	if _, err := h.reconcile(t); !errors.Is(err, h.fail["status"]) {
		t.Errorf("err = %v", err)
	}
	h.wantEvents(t, "Warning ReconcileError the status cannot be written, so the rollout cannot continue; if the installed CustomResourceDefinition "+
		"is older than the operator, update it: "+h.fail["status"].Error())
}

// TestReconcileStale has a cache that does not show our own last write: nothing is done.
func TestReconcileStale(t *testing.T) {
	h := newHarness(t, aRollout())
	h.Observer.Tracker.Wrote(key, observe.Write{Object: observe.Object{Kind: observe.RolloutKind, Name: key.Name}, ResourceVersion: "5000"})
	h.plan = plan.Plan{Status: withMessage("planned")}
	result, err := h.reconcile(t)
	if err != nil || result.RequeueAfter != staleBackstop || h.in != nil {
		t.Errorf("result = %+v, %v, planned from %+v", result, err, h.in)
	}
	h.wantRequests(t)
}

// TestReconcileNewProcess has a predecessor whose last write the cache does not show. The live read detects it.
func TestReconcileNewProcess(t *testing.T) {
	h := newHarness(t, aRollout())
	newer := newHarness(t, aRollout())
	changed := newer.stored(t)
	changed.Annotations["by"] = "the predecessor"
	if err := newer.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	h.Observer.Live = newer.WithWatch
	h.plan = plan.Plan{Actions: []plan.Action{plan.AddFinalizer{}}, Status: withMessage("planned")}
	result, err := h.reconcile(t)
	if err != nil || result.RequeueAfter != staleBackstop || h.stored(t).Status.Message != "" {
		t.Errorf("result = %+v, %v", result, err)
	}
	h.wantRequests(t, "dry run")
}

func TestReconcileDeletion(t *testing.T) {
	rollout := aRollout()
	now := metav1.NewTime(start.Truncate(time.Second))
	rollout.DeletionTimestamp, rollout.Finalizers = &now, []string{v1alpha1.Finalizer}
	h := newHarness(t, rollout)
	h.plan = plan.Plan{Actions: []plan.Action{plan.RemoveFinalizer{}}, Status: withMessage("gone"), Events: []plan.Event{{Reason: "A", Message: "m"}}}
	if _, err := h.reconcile(t); err != nil {
		t.Fatal(err)
	}
	if !h.in.DeletedAt.Equal(now.Time) || !h.in.HasFinalizer {
		t.Errorf("input = %+v", h.in)
	}
	h.wantRequests(t, "get", "get", "patch")
	h.wantEvents(t, "Normal A m")
	if err := h.Get(t.Context(), key, rollout); !apierrors.IsNotFound(err) {
		t.Errorf("err = %v, want it gone", err)
	}
	if result, err := h.reconcile(t); err != nil || result != (ctrl.Result{}) {
		t.Errorf("after it: %+v, %v", result, err)
	}
}

// TestReconcileFinalized has a rollout that waits for another finalizer: it is no longer ours.
func TestReconcileFinalized(t *testing.T) {
	rollout := aRollout()
	now := metav1.NewTime(start)
	rollout.DeletionTimestamp, rollout.Finalizers = &now, []string{"foregroundDeletion"}
	h := newHarness(t, rollout)
	if result, err := h.reconcile(t); err != nil || result != (ctrl.Result{}) || h.in != nil {
		t.Errorf("result = %+v, %v", result, err)
	}
}

func TestRequeueAt(t *testing.T) {
	for _, tc := range []struct {
		at   time.Time
		want time.Duration
	}{
		{time.Time{}, 0}, {start.Add(time.Minute), time.Minute}, {start, time.Millisecond}, {start.Add(-time.Hour), time.Millisecond},
	} {
		if got := requeueAt(tc.at, start).RequeueAfter; got != tc.want {
			t.Errorf("requeueAt(%s) = %s, want %s", tc.at, got, tc.want)
		}
	}
}

// TestReconcileRefusedTemplate checks that a refused template is tried again after a while: the policy that refused
// it may have changed. The passes in between send no request.
func TestReconcileRefusedTemplate(t *testing.T) {
	h := newHarness(t, aRollout())
	h.fail["dry run"] = apierrors.NewInvalid(observe.ReplicaSetKind.GroupKind(), "x", nil)
	h.plan = plan.Plan{Status: aRollout().Status}
	if result, err := h.reconcile(t); err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("result = %+v, %v", result, err)
	}
	h.wantRequests(t, "dry run")
	h.Clock = testingclock.NewFakePassiveClock(start.Add(20 * time.Second))
	if result, err := h.reconcile(t); err != nil || result.RequeueAfter != 40*time.Second {
		t.Errorf("result = %+v, %v", result, err)
	}
	h.wantRequests(t)
	h.plan.WakeAt = h.in.Now.Add(time.Second)
	if result, err := h.reconcile(t); err != nil || result.RequeueAfter != time.Second {
		t.Errorf("result = %+v, %v", result, err)
	}
}

// TestEarliest checks that a time that is zero is not taken for the earlier one.
func TestEarliest(t *testing.T) {
	never, soon, later := time.Time{}, start.Add(time.Second), start.Add(time.Hour)
	for _, tc := range []struct{ a, b, want time.Time }{
		{never, never, never}, {soon, never, soon}, {never, soon, soon}, {soon, later, soon}, {later, soon, soon},
	} {
		if got := earliest(tc.a, tc.b); !got.Equal(tc.want) {
			t.Errorf("earliest(%s, %s) = %s", tc.a, tc.b, got)
		}
	}
}

// TestRepeatedEvents: the recorder counts an Event that repeats, and one with another text is a separate Event. It
// used to be counted as the first one, so that a second writer was never named.
func TestRepeatedEvents(t *testing.T) {
	sink := &eventSink{}
	broadcaster := events.NewBroadcaster(sink)
	if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer broadcaster.Shutdown()
	r := &Reconciler{Recorder: broadcaster.NewRecorder(clientgoscheme.Scheme, controllerName)}
	for version, message := range []string{"argocd wrote", "argocd wrote", "kubectl wrote", "argocd wrote"} {
		rollout := aRollout()
		rollout.ResourceVersion = fmt.Sprint(version)
		before := sink.count()
		r.report(rollout, []plan.Event{{Warning: true, Reason: plan.EventRouteOverwritten, Message: message, Repeats: true}})
		isLast := version == 3 // only a count, which the recorder writes later
		for deadline := time.Now().Add(5 * time.Second); !isLast && sink.count() == before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	want := []string{"create argocd wrote", "patch argocd wrote", "create kubectl wrote"}
	if diff := cmp.Diff(want, sink.all()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	got := joined([]plan.Event{{Reason: "A", Message: "x", Repeats: true}, {Reason: "A", Message: "y", Repeats: true}})
	if len(got) != 1 || !got[0].Repeats {
		t.Errorf("joined = %+v", got)
	}
}

// eventSink records what the recorder sends.
type eventSink struct {
	mu       sync.Mutex
	requests []string
}

func (s *eventSink) add(request string, event *eventsv1.Event) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request+" "+event.Note)
	return event, nil
}

func (s *eventSink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *eventSink) count() int { return len(s.all()) }

func (s *eventSink) Create(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.add("create", event)
}

func (s *eventSink) Update(_ context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return s.add("update", event)
}

func (s *eventSink) Patch(_ context.Context, event *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	return s.add("patch", event)
}

func TestCut(t *testing.T) {
	if got := cut(strings.Repeat("x", 1024)); len(got) != 1024 || strings.HasSuffix(got, "...") {
		t.Errorf("a message that fits became %d bytes", len(got))
	}
	if got := cut("x" + strings.Repeat("ä", 600)); len(got) > 1024 || !strings.HasSuffix(got, "ä...") {
		t.Errorf("a long message became %d bytes: %s", len(got), got[len(got)-8:])
	}
}
