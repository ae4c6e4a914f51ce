// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// parse reads one YAML document.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return object
}

// anApp returns a rollout with the given name and status fields.
func anApp(t *testing.T, name, status string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, fmt.Sprintf(`
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: %[1]s, namespace: bookinfo, uid: uid-of-%[1]s, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z}
spec:
  replicas: 2
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec: {containers: [{name: a, image: "reviews:v1", resources: {limits: {cpu: 1000m}}}, {name: b, image: "proxy:v9"}], tomorrow: 1}
  traffic: {stableService: reviews-stable, canaryService: reviews-canary, routes: [{kind: HTTPRoute, name: reviews}]}
status: {replicas: 0, %[2]s}
`, name, status))
}

// typed returns a rollout as the cache holds it.
func typed(t *testing.T, rollout *unstructured.Unstructured) *Rollout {
	t.Helper()
	data, err := rollout.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	decoded := &Rollout{}
	if err := decoded.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// hashOf returns the hash of the template of anApp.
func hashOf(t *testing.T) string {
	t.Helper()
	hash, err := revision.Hash(revision.Template(anApp(t, "reviews", "")))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// aReplicaSet returns a ReplicaSet that anApp made and the API server defaulted.
func aReplicaSet(t *testing.T, of, hash string, change func(*unstructured.Unstructured)) *unstructured.Unstructured {
	t.Helper()
	replicaSet := revision.Render(anApp(t, "reviews", ""), revision.Identity{Revision: of, Hash: hash, Replicas: 2})
	replicaSet.SetUID("uid-of-" + replicaSet.GetUID())
	replicaSet.SetGeneration(3)
	defaultTemplate(replicaSet)
	_ = unstructured.SetNestedField(replicaSet.Object, int64(3), "status", "observedGeneration")
	_ = unstructured.SetNestedField(replicaSet.Object, int64(2), "status", "replicas")
	_ = unstructured.SetNestedField(replicaSet.Object, int64(1), "status", "readyReplicas")
	if change != nil {
		change(replicaSet)
	}
	return replicaSet
}

// defaultTemplate defaults a template like an API server.
func defaultTemplate(replicaSet *unstructured.Unstructured) {
	_ = unstructured.SetNestedField(replicaSet.Object, "Always", "spec", "template", "spec", "restartPolicy")
	containers, _, _ := unstructured.NestedSlice(replicaSet.Object, "spec", "template", "spec", "containers")
	_ = unstructured.SetNestedField(containers[0].(map[string]any), "1", "resources", "limits", "cpu")
	_ = unstructured.SetNestedSlice(replicaSet.Object, containers, "spec", "template", "spec", "containers")
}

// normalizer is a dry run that defaults, counts, and refuses names.
type normalizer struct {
	calls int
	taken map[string]bool
	err   error
}

func (n *normalizer) Normalize(_ context.Context, replicaSet *unstructured.Unstructured) error {
	n.calls++
	if n.taken[replicaSet.GetName()] {
		return apierrors.NewAlreadyExists(appsv1.Resource("replicasets"), replicaSet.GetName())
	}
	defaultTemplate(replicaSet)
	return n.err
}

// testScheme has only the kinds that are read typed: the fake client would drop unknown fields of kinds that it knows.
func testScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, corev1.AddToScheme, discoveryv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// world is an Observer on a cache and a live cluster. It counts the live reads.
type world struct {
	*Observer
	normalizer *normalizer
	live       client.Client
	reads      int
	now        time.Time
}

func newWorld(t *testing.T, cache []client.Object, live ...client.Object) *world {
	t.Helper()
	w := &world{normalizer: &normalizer{taken: map[string]bool{}}}
	cached := fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(copied(cache)...)
	for _, index := range Indexes() {
		cached = cached.WithIndex(index.Object, index.Field, index.Values)
	}
	// A list without an index goes over all objects of a namespace, in each pass of each rollout in it.
	cached = cached.WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
			if (&client.ListOptions{}).ApplyOptions(opts).FieldSelector == nil {
				t.Errorf("%T is listed from the cache without an index", into)
			}
			return c.List(ctx, into, opts...)
		},
	})
	w.live = fake.NewClientBuilder().WithScheme(testScheme(t)).WithObjects(copied(live)...).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
				w.reads++
				return c.Get(ctx, key, into, opts...)
			},
			List: func(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
				w.reads++
				return c.List(ctx, into, opts...)
			},
		}).Build()
	w.Observer = &Observer{Cache: cached.Build(), Live: w.live, Normalizer: w.normalizer, Kinds: served{"HTTPRoute": HTTPRouteKind, "CanaryMetric": MetricKind}, Tracker: &Tracker{}, Features: NewFeatures(w.live), Pods: NewPods(w.live), Probes: measured{}, Measurements: measured{}, Notifications: measured{}}
	return w
}

// measured has a result for every rollout.
type measured struct{}

func (measured) Result(types.NamespacedName) plan.Probe { return plan.Probe{Pending: "measured"} }

func (measured) Results(types.NamespacedName) []plan.Measured {
	return []plan.Measured{{Value: "measured"}}
}

func (measured) Providers() map[string]plan.Provider {
	return map[string]plan.Provider{"default": {Prometheus: true}}
}

func (measured) JobsAllowed() bool { return true }

func (measured) Sinks(namespace string) []plan.Sink { return []plan.Sink{{Name: "of-" + namespace}} }

func (measured) Delivered(rollout types.NamespacedName) []plan.Delivered {
	return []plan.Delivered{{Sink: rollout.Name, Sequence: 7}}
}

// served are the kinds of routes that a cluster serves.
type served map[string]schema.GroupVersionKind

func (s served) Resolve(_ context.Context, kind string) (schema.GroupVersionKind, error) {
	if version, isServed := s[kind]; isServed {
		return version, nil
	}
	return schema.GroupVersionKind{}, fmt.Errorf("the cluster serves no %s", kind)
}

func copied(objects []client.Object) []client.Object {
	var copies []client.Object
	for _, object := range objects {
		copies = append(copies, object.DeepCopyObject().(client.Object))
	}
	return copies
}

// observe observes the rollout reviews once.
func (w *world) observe(t *testing.T) (*Snapshot, error) {
	t.Helper()
	rollout, err := w.Rollout(t.Context(), reviewsKey)
	if err != nil {
		t.Fatal(err)
	}
	return w.Observe(t.Context(), rollout, w.now)
}

func (w *world) mustObserve(t *testing.T) *Snapshot {
	t.Helper()
	snap, err := w.observe(t)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}
