// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/apply"
	"github.com/canaryrollout/canaryrollout/controllers/measure"
	"github.com/canaryrollout/canaryrollout/controllers/notify"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/probe"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// The budgets are what a pass may allocate: half more than it does, because the race detector drops what sync.Pool keeps. Raise
// one only for something that a pass has to do. A pass that writes also plans what follows from the memory that it leaves: that takes
// the place of further passes.
const (
	idleBudget    = 600
	writingBudget = 1800
)

// TestAllocations: what a pass costs does not creep back. A pass over a rollout at rest sends nothing and converts nothing.
func TestAllocations(t *testing.T) {
	w := newStill(t)
	if got := testing.AllocsPerRun(100, func() { w.pass(t) }); got > idleBudget || w.writes > 0 {
		t.Errorf("a pass that changes nothing makes %.0f allocations, budget %d, and %d writes", got, idleBudget, w.writes)
	}
	passes := 0
	if got := testing.AllocsPerRun(100, func() { w.verify(t); passes++ }); got > writingBudget || w.writes != passes {
		t.Errorf("a pass that writes a status makes %.0f allocations, budget %d; %d writes in %d passes", got, writingBudget, w.writes, passes)
	}
}

func BenchmarkIdlePass(b *testing.B) {
	w := newStill(b)
	b.ReportAllocs()
	for b.Loop() {
		w.pass(b)
	}
}

func BenchmarkWritingPass(b *testing.B) {
	w := newStill(b)
	b.ReportAllocs()
	for b.Loop() {
		w.verify(b)
	}
}

// still is a Reconciler, with the real planner, on the rollout of the sample at rest. It hands out its objects as the cache does,
// without a copy.
type still struct {
	*Reconciler

	rollout     *observe.Rollout
	replicaSets []unstructured.Unstructured
	services    map[string]*corev1.Service
	slices      map[string][]discoveryv1.EndpointSlice
	route       *unstructured.Unstructured
	// writes counts the status patches. They are applied until the rollout is at rest; then they only count.
	writes  int
	version int
	isSet   bool
}

func newStill(tb testing.TB) *still {
	tb.Helper()
	w := &still{rollout: &observe.Rollout{}, services: map[string]*corev1.Service{}, slices: map[string][]discoveryv1.EndpointSlice{}, version: 100}
	object := sample.Object(tb)
	object["metadata"] = map[string]any{
		"namespace": key.Namespace, "name": key.Name, "uid": "u", "generation": 3, "resourceVersion": "100", "creationTimestamp": "2026-01-01T00:00:00Z",
		"finalizers": []string{v1alpha1.Finalizer},
	}
	w.decode(tb, object, w.rollout)
	if _, err := observe.StripRollout(w.rollout); err != nil {
		tb.Fatal(err)
	}
	hash, err := revision.Hash(revision.Template(w.rollout.Raw()))
	if err != nil {
		tb.Fatal(err)
	}
	const of = "aaaaaaaaaa"
	w.addReplicaSet(of, hash)
	w.addService("reviews-stable", of)
	w.addService("reviews-canary", of)
	w.addRoute(tb)
	w.Reconciler = w.reconciler()
	w.settle(tb)
	return w
}

func (w *still) decode(tb testing.TB, object, into any) {
	tb.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		tb.Fatal(err)
	}
}

func (w *still) addReplicaSet(of, hash string) {
	replicaSet := revision.Render(w.rollout.Raw(), revision.Identity{Revision: of, Hash: hash, Replicas: 4})
	replicaSet.SetUID("uid-of-replica-set")
	replicaSet.SetGeneration(1)
	replicaSet.SetResourceVersion("90")
	replicaSet.SetAnnotations(map[string]string{v1alpha1.TemplateHashAnnotation: hash, v1alpha1.PromotionAnnotation: "1"})
	pods := int64(4)
	replicaSet.Object["status"] = map[string]any{
		"observedGeneration": int64(1), "replicas": pods, "readyReplicas": pods, "availableReplicas": pods, "fullyLabeledReplicas": pods,
	}
	w.replicaSets = append(w.replicaSets, *replicaSet)
}

func (w *still) addService(name, of string) {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name, UID: "uid-of-service", ResourceVersion: "80"}}
	service.Spec.Selector = map[string]string{"app": "reviews", v1alpha1.RevisionLabel: of}
	service.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 9080}}
	w.services[name] = service
	slice := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name + "-x", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		Ports:      []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](9080)}},
	}
	for i := range 4 {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: fmt.Sprintf("reviews-%s-abcd%d", of, i)},
		})
	}
	w.slices[name] = append(w.slices[name], slice)
}

func (w *still) addRoute(tb testing.TB) {
	tb.Helper()
	content, err := os.ReadFile(sample.Path("httproute.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	w.route = observe.New(observe.HTTPRouteKind)
	data, err := yaml.YAMLToJSON(content)
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.route.UnmarshalJSON(data); err != nil {
		tb.Fatal(err)
	}
	w.route.SetNamespace(key.Namespace)
	w.route.SetGeneration(7)
	w.route.SetResourceVersion("95")
	condition := func(kind string) any {
		return map[string]any{
			"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": int64(7), "lastTransitionTime": "2026-01-01T00:00:00Z",
		}
	}
	w.route.Object["status"] = map[string]any{"parents": []any{map[string]any{
		"controllerName": "example.com/gateway",
		"parentRef":      map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "http-gateway"},
		"conditions":     []any{condition("Accepted"), condition("ResolvedRefs")},
	}}}
}

func (w *still) reconciler() *Reconciler {
	prober, runner := probe.NewProber(probe.Allow{}), measure.NewRunner(measure.Providers{}, nil)
	notifier := notify.NewRunner(notify.Sinks{})
	return &Reconciler{
		Observer: &observe.Observer{
			Cache: w, Live: w, Kinds: w, Tracker: &observe.Tracker{}, Features: observe.NewFeatures(w), Pods: observe.NewPods(w),
			Probes: prober, Measurements: runner, Notifications: notifier,
		},
		Applier: &apply.Applier{}, Status: statusWriter{still: w}, Recorder: &events.FakeRecorder{}, Prober: prober, Runner: runner, Notifier: notifier,
		Manager: "system/lease", otherManagers: otherManagers{self: "system/lease"},
		Clock: testingclock.NewFakePassiveClock(start), Compute: plan.Compute,
	}
}

// settle makes passes until one changes nothing.
func (w *still) settle(tb testing.TB) {
	tb.Helper()
	for i := range 50 {
		w.Clock = testingclock.NewFakePassiveClock(start.Add(time.Duration(i) * time.Hour))
		before := w.writes
		w.pass(tb)
		if w.writes == before && w.rollout.Status.State == v1alpha1.StateHealthy {
			w.writes, w.isSet = 0, true
			return
		}
	}
	tb.Fatalf("the rollout is not at rest after %d writes: %s, %s", w.writes, w.rollout.Status.State, w.rollout.Status.Message)
}

func (w *still) pass(tb testing.TB) {
	tb.Helper()
	if _, err := w.Reconcile(tb.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		tb.Fatal(err)
	}
}

// verify makes a pass over a weight that is not verified yet. It writes the memory and the report, which are not stored.
func (w *still) verify(tb testing.TB) {
	tb.Helper()
	edited := *w.rollout
	memory := *edited.Status.Memory
	memory.Traffic.VerifiedAt = nil
	edited.Status.Memory = &memory
	edited.ResourceVersion = strconv.Itoa(w.version)
	kept := w.rollout
	w.rollout = &edited
	w.pass(tb)
	w.rollout = kept
}

// Get implements client.Reader.
func (w *still) Get(_ context.Context, at client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch into := into.(type) {
	case *observe.Rollout:
		*into = *w.rollout
	case *corev1.Service:
		*into = *w.services[at.Name]
	case *unstructured.Unstructured:
		*into = *w.route
	case *metav1.PartialObjectMetadata:
		into.ObjectMeta = w.rollout.ObjectMeta
	default:
		return apierrors.NewNotFound(schema.GroupResource{}, at.Name)
	}
	return nil
}

// List implements client.Reader.
func (w *still) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	switch into := into.(type) {
	case *observe.RolloutList:
		into.Items = []observe.Rollout{*w.rollout}
	case *unstructured.UnstructuredList:
		into.Items = append(into.Items, w.replicaSets...)
	case *discoveryv1.EndpointSliceList:
		service, _ := (&client.ListOptions{}).ApplyOptions(options).FieldSelector.RequiresExactMatch(observe.IndexSliceService)
		into.Items = append(into.Items, w.slices[service]...)
	}
	return nil
}

// Resolve implements observe.Kinds.
func (w *still) Resolve(context.Context, string) (schema.GroupVersionKind, error) {
	return observe.HTTPRouteKind, nil
}

// statusWriter writes the status of a still. Nothing else is written.
type statusWriter struct {
	client.SubResourceWriter

	*still
}

// Patch implements client.SubResourceWriter.
func (w statusWriter) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	w.writes++
	w.version++
	object.(*metav1.PartialObjectMetadata).ObjectMeta = w.rollout.ObjectMeta
	object.SetResourceVersion(strconv.Itoa(w.version))
	if w.isSet {
		return nil
	}
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	before, err := json.Marshal(w.rollout)
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(after, w.rollout); err != nil {
		return err
	}
	w.rollout.ResourceVersion = object.GetResourceVersion()
	return nil
}
