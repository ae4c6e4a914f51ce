// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

const (
	rollout = `
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: reviews, namespace: bookinfo, uid: uid-of-rollout, resourceVersion: "10", finalizers: [other], annotations: {a: b}}
spec:
  selector: {matchLabels: {app: reviews}}
  template: {metadata: {labels: {app: reviews}}, spec: {containers: [{name: a, image: "reviews:v1"}], tomorrow: 1}}
  traffic: {stableService: reviews-stable, canaryService: reviews-canary, routes: [{kind: HTTPRoute, name: reviews}]}
`
	replicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: reviews-aaa
  namespace: bookinfo
  uid: uid-of-aaa
  resourceVersion: "20"
  ownerReferences: [{apiVersion: v1, kind: Other, name: x, uid: other}]
spec: {replicas: 1}
`
	service = `
apiVersion: v1
kind: Service
metadata: {name: reviews-stable, namespace: bookinfo, uid: uid-of-service, resourceVersion: "30"}
spec: {selector: {app: reviews, pod-template-hash: aaa}, ports: [{port: 80}]}
`
	httpRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews, namespace: bookinfo, uid: uid-of-route, resourceVersion: "40", generation: 5}
spec:
  rules:
  - backendRefs: [{name: reviews-stable, port: 80, weight: 90}, {name: reviews-canary, port: 80, weight: 10}]
`
)

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

// snapshot returns a snapshot with one object of each kind.
func snapshot(t *testing.T) *observe.Snapshot {
	t.Helper()
	observed := &corev1.Service{}
	snap := &observe.Snapshot{
		Rollout:     &observe.Rollout{},
		ReplicaSets: map[string]*unstructured.Unstructured{"reviews-aaa": parse(t, replicaSet)},
		Services:    map[string]*corev1.Service{"reviews-stable": observed},
		Routes: map[observe.Object]*unstructured.Unstructured{
			{Kind: observe.HTTPRouteKind, Name: "reviews"}: parse(t, httpRoute),
		},
		Pairs: map[observe.Object]route.Pair{{Kind: observe.HTTPRouteKind, Name: "reviews"}: {
			Rollout: "reviews", Namespace: "bookinfo", Stable: "reviews-stable", Canary: "reviews-canary",
		}},
	}
	raw, err := parse(t, rollout).MarshalJSON()
	convert := runtime.DefaultUnstructuredConverter.FromUnstructured
	if err := errors.Join(err, snap.Rollout.UnmarshalJSON(raw), convert(parse(t, service).Object, observed)); err != nil {
		t.Fatal(err)
	}
	return snap
}

// recorder is a cluster that records the requests, as "verb name type body".
type recorder struct {
	client.WithWatch
	requests []string
	owners   []string
}

func newRecorder(t *testing.T, texts ...string) *recorder {
	t.Helper()
	r := &recorder{}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithTypeConverters(managedfields.NewDeducedTypeConverter())
	for _, text := range texts {
		builder = builder.WithObjects(parse(t, text))
	}
	r.WithWatch = builder.WithInterceptorFuncs(interceptor.Funcs{Create: r.create, Patch: r.patch, Delete: r.delete}).Build()
	return r
}

func (r *recorder) create(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	r.requests = append(r.requests, "create "+string(body))
	r.owners = append(r.owners, (&client.CreateOptions{}).ApplyOptions(opts).FieldManager)
	return c.Create(ctx, object, opts...)
}

func (r *recorder) patch(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
	body, err := patch.Data(object)
	if err != nil {
		return err
	}
	kind := map[types.PatchType]string{types.MergePatchType: "merge", types.JSONPatchType: "json"}[patch.Type()]
	r.requests = append(r.requests, kind+" "+object.GetNamespace()+"/"+object.GetName()+" "+string(body))
	r.owners = append(r.owners, (&client.PatchOptions{}).ApplyOptions(opts).FieldManager)
	return c.Patch(ctx, object, patch, opts...)
}

func (r *recorder) delete(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.DeleteOption) error {
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	body, err := json.Marshal(options.AsDeleteOptions())
	if err != nil {
		return err
	}
	r.requests = append(r.requests, "delete "+object.GetName()+" "+string(body))
	r.owners = append(r.owners, v1alpha1.FieldManager)
	return c.Delete(ctx, object, client.PropagationPolicy(*options.PropagationPolicy))
}

var everything = []string{rollout, replicaSet, service, httpRoute}

func TestApply(t *testing.T) {
	object := func(kind schema.GroupVersionKind, name string) observe.Object {
		return observe.Object{Kind: kind, Name: name}
	}
	for name, tc := range map[string]struct {
		action  plan.Action
		request string
		write   observe.Write
		version string
	}{
		"add the finalizer": {
			plan.AddFinalizer{},
			`merge bookinfo/reviews {"metadata":{"finalizers":["other","canaryrollout.dev/traffic"],"resourceVersion":"10"}}`,
			observe.Write{Object: object(observe.RolloutKind, "reviews"), UID: "uid-of-rollout", ResourceVersion: "11"}, "11",
		},
		"remove the finalizer": {
			plan.RemoveFinalizer{},
			`merge bookinfo/reviews {"metadata":{"finalizers":["other"],"resourceVersion":"10"}}`,
			observe.Write{Object: object(observe.RolloutKind, "reviews"), UID: "uid-of-rollout", ResourceVersion: "11"}, "11",
		},
		"remove annotations": {
			plan.RemoveAnnotations{Keys: []string{"a", "c"}},
			`merge bookinfo/reviews {"metadata":{"annotations":{"a":null,"c":null},"resourceVersion":"10"}}`,
			observe.Write{Object: object(observe.RolloutKind, "reviews"), UID: "uid-of-rollout", ResourceVersion: "11"}, "11",
		},
		"set replicas": {
			plan.SetReplicas{Replicas: 5},
			`merge bookinfo/reviews {"metadata":{"resourceVersion":"10"},"spec":{"replicas":5}}`,
			observe.Write{Object: object(observe.RolloutKind, "reviews"), UID: "uid-of-rollout", ResourceVersion: "11"}, "11",
		},
		"adopt": {
			plan.AdoptReplicaSet{Name: "reviews-aaa"},
			`merge bookinfo/reviews-aaa {"metadata":{"labels":{"canaryrollout.dev/rollout":"reviews"},"ownerReferences":[` +
				`{"apiVersion":"v1","kind":"Other","name":"x","uid":"other"},{"apiVersion":"canaryrollout.dev/v1alpha1",` +
				`"kind":"CanaryRollout","name":"reviews","uid":"uid-of-rollout","controller":true,"blockOwnerDeletion":true}],` +
				`"resourceVersion":"20","uid":"uid-of-aaa"}}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-aaa"), UID: "uid-of-aaa", ResourceVersion: "21", Created: true}, "10",
		},
		"create": {
			plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h", Replicas: 3},
			`create {"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"annotations":{"canaryrollout.dev/template-hash":"h"},` +
				`"labels":{"app":"reviews","canaryrollout.dev/rollout":"reviews","pod-template-hash":"bbb"},` +
				`"name":"reviews-bbb","namespace":"bookinfo","ownerReferences":[{"apiVersion":"canaryrollout.dev/v1alpha1",` +
				`"blockOwnerDeletion":true,"controller":true,"kind":"CanaryRollout","name":"reviews","uid":"uid-of-rollout"}]},` +
				`"spec":{"minReadySeconds":0,"replicas":3,"selector":{"matchLabels":{"app":"reviews","pod-template-hash":"bbb"}},` +
				`"template":{"metadata":{"labels":{"app":"reviews","pod-template-hash":"bbb"}},` +
				`"spec":{"containers":[{"image":"reviews:v1","name":"a"}],"tomorrow":1}}}}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-bbb"), ResourceVersion: "1", Created: true}, "10",
		},
		"scale": {
			plan.ScaleReplicaSet{Name: "reviews-aaa", Replicas: 0, MinReadySeconds: 5},
			`merge bookinfo/reviews-aaa {"metadata":{"resourceVersion":"20"},"spec":{"minReadySeconds":5,"replicas":0}}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-aaa"), UID: "uid-of-aaa", ResourceVersion: "21"}, "10",
		},
		"mark": {
			plan.MarkReplicaSet{Name: "reviews-aaa", Marks: plan.Marks{Promotion: 7}},
			`merge bookinfo/reviews-aaa {"metadata":{"annotations":{"canaryrollout.dev/aborted":null,"canaryrollout.dev/promotion":"7"},"resourceVersion":"20"}}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-aaa"), UID: "uid-of-aaa", ResourceVersion: "21"}, "10",
		},
		"mark as aborted": {
			plan.MarkReplicaSet{Name: "reviews-aaa", Marks: plan.Marks{AbortReason: "slow"}},
			`merge bookinfo/reviews-aaa {"metadata":{"annotations":{"canaryrollout.dev/aborted":"slow","canaryrollout.dev/promotion":null},"resourceVersion":"20"}}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-aaa"), UID: "uid-of-aaa", ResourceVersion: "21"}, "10",
		},
		"delete": {
			plan.DeleteReplicaSet{Name: "reviews-aaa"},
			`delete reviews-aaa {"preconditions":{"uid":"uid-of-aaa","resourceVersion":"20"},"propagationPolicy":"Background"}`,
			observe.Write{Object: object(observe.ReplicaSetKind, "reviews-aaa"), UID: "uid-of-aaa", Deleted: true}, "10",
		},
		"point": {
			plan.PointService{Name: "reviews-stable", Revision: "bbb"},
			`merge bookinfo/reviews-stable {"metadata":{"resourceVersion":"30"},"spec":{"selector":{"pod-template-hash":"bbb"}}}`,
			observe.Write{Object: object(observe.ServiceKind, "reviews-stable"), UID: "uid-of-service", ResourceVersion: "31"}, "10",
		},
		"point at none": {
			plan.PointService{Name: "reviews-stable"},
			`merge bookinfo/reviews-stable {"metadata":{"resourceVersion":"30"},"spec":{"selector":{"pod-template-hash":null}}}`,
			observe.Write{Object: object(observe.ServiceKind, "reviews-stable"), UID: "uid-of-service", ResourceVersion: "31"}, "10",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newRecorder(t, everything...)
			got, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t), []plan.Action{tc.action})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.request}, cluster.requests); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if cluster.owners[0] != v1alpha1.FieldManager {
				t.Errorf("field manager = %q", cluster.owners[0])
			}
			_, released := tc.action.(plan.RemoveFinalizer)
			want := Result{Writes: []observe.Write{tc.write}, ResourceVersion: tc.version, FinalizerRemoved: released}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

// TestApplyRemoveLastFinalizer deletes the rollout. The version in the response is the previous one, so it must not
// count.
func TestApplyRemoveLastFinalizer(t *testing.T) {
	snap := snapshot(t)
	snap.Finalizers = []string{v1alpha1.Finalizer}
	got, err := (&Applier{Writer: newRecorder(t, everything...)}).Apply(t.Context(), snap, []plan.Action{plan.RemoveFinalizer{}})
	if err != nil || !got.FinalizerRemoved || len(got.Writes) != 1 || !got.Writes[0].Deleted {
		t.Errorf("result = %+v, %v", got, err)
	}
}

func TestApplySetTraffic(t *testing.T) {
	cluster := newRecorder(t, everything...)
	got, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t),
		[]plan.Action{plan.SetTraffic{Kind: "HTTPRoute", Name: "reviews", Traffic: plan.Traffic{Weight: 20}}})
	if err != nil || len(got.Writes) != 1 || got.Writes[0].ResourceVersion != "41" || got.Writes[0].Since != "40" {
		t.Fatalf("result = %+v, %v", got, err)
	}
	if len(cluster.requests) != 1 || !strings.HasPrefix(cluster.requests[0], "json bookinfo/reviews [") {
		t.Errorf("requests = %v", cluster.requests)
	}
	again, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t),
		[]plan.Action{plan.SetTraffic{Kind: "HTTPRoute", Name: "reviews", Traffic: plan.Traffic{Weight: 10}}})
	if err != nil || len(again.Writes) != 0 || len(cluster.requests) != 1 {
		t.Errorf("nothing to change, but: %+v, %v, %v", again, err, cluster.requests)
	}
}

// TestApplyChained has several writes to the rollout in one plan: each is guarded by the version that the one before
// left.
func TestApplyChained(t *testing.T) {
	cluster := newRecorder(t, everything...)
	got, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t), []plan.Action{
		plan.AddFinalizer{}, plan.RemoveAnnotations{Keys: []string{"a"}}, plan.RemoveFinalizer{},
	})
	if err != nil || got.ResourceVersion != "13" || len(got.Writes) != 3 {
		t.Fatalf("result = %+v, %v", got, err)
	}
	if want := `merge bookinfo/reviews {"metadata":{"finalizers":["other"],"resourceVersion":"12"}}`; cluster.requests[2] != want {
		t.Errorf("request = %s, want %s", cluster.requests[2], want)
	}
}

// TestApplyStops has a plan whose second action fails: the first is reported, the third is not tried.
func TestApplyStops(t *testing.T) {
	cluster := newRecorder(t, rollout, strings.Replace(replicaSet, `"20"`, `"25"`, 1), service)
	got, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t), []plan.Action{
		plan.AddFinalizer{},
		plan.ScaleReplicaSet{Name: "reviews-aaa", Replicas: 2},
		plan.PointService{Name: "reviews-stable", Revision: "bbb"},
	})
	if !apierrors.IsConflict(err) || len(got.Writes) != 1 || got.ResourceVersion != "11" || len(cluster.requests) != 2 {
		t.Errorf("result = %+v, %v after %d requests", got, err, len(cluster.requests))
	}
}

// TestApplyGoesOn has a plan whose first action is refused: the others are carried out, except the removal of the
// finalizer. After any other failure nothing else is tried. Actions that were not tried count as failed: the caller
// must not take them for done.
func TestApplyGoesOn(t *testing.T) {
	refused := apierrors.NewForbidden(corev1.Resource("replicasets"), "reviews-aaa", errors.New("quota"))
	for name, tc := range map[string]struct {
		err   error
		moved bool
	}{
		"refused":           {refused, true},
		"a webhook is down": {apierrors.NewInternalError(errors.New("failed calling webhook")), true},
		"no answer":         {context.DeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newRecorder(t, rollout, replicaSet, service)
			failing := interceptor.NewClient(cluster, interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
					if object.GetName() == "reviews-aaa" {
						return tc.err
					}
					return c.Patch(ctx, object, patch, opts...)
				},
			})
			actions := []plan.Action{
				plan.ScaleReplicaSet{Name: "reviews-aaa", Replicas: 2},
				plan.PointService{Name: "reviews-stable", Revision: "bbb"},
				plan.RemoveFinalizer{},
			}
			want := actions
			if tc.moved {
				want = []plan.Action{actions[0], actions[2]}
			}
			got, err := (&Applier{Writer: failing}).Apply(t.Context(), snapshot(t), actions)
			if !errors.Is(err, tc.err) || got.FinalizerRemoved || (len(got.Writes) == 1) != tc.moved {
				t.Errorf("result = %+v, %v", got, err)
			}
			if diff := cmp.Diff(want, got.Failed); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestApplyTwice: a mark is guarded by the version that the scaling of the ReplicaSet left, not by the observed one.
func TestApplyTwice(t *testing.T) {
	got, err := (&Applier{Writer: newRecorder(t, everything...)}).Apply(t.Context(), snapshot(t), []plan.Action{
		plan.ScaleReplicaSet{Name: "reviews-aaa", Replicas: 4}, plan.MarkReplicaSet{Name: "reviews-aaa", Marks: plan.Marks{Promotion: 1}},
	})
	if err != nil || len(got.Writes) != 2 || got.Writes[1].ResourceVersion != "22" {
		t.Errorf("result = %+v, %v", got, err)
	}
}

func TestApplyUnobserved(t *testing.T) {
	for _, action := range []plan.Action{
		plan.AdoptReplicaSet{Name: "x"}, plan.ScaleReplicaSet{Name: "x"}, plan.MarkReplicaSet{Name: "x"}, plan.DeleteReplicaSet{Name: "x"},
		plan.PointService{Name: "x"}, plan.SetTraffic{Kind: "HTTPRoute", Name: "x"}, plan.SetTraffic{Kind: "X", Name: "reviews"},
	} {
		cluster := newRecorder(t, everything...)
		_, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t), []plan.Action{action})
		if !errors.Is(err, errNotObserved) || len(cluster.requests) > 0 {
			t.Errorf("%T: err = %v after %v", action, err, cluster.requests)
		}
	}
}

func TestCreateReplicaSetWhoseNameIsTaken(t *testing.T) {
	ours := `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: reviews-bbb
  namespace: bookinfo
  annotations: {canaryrollout.dev/template-hash: h}
  labels: {app: reviews}
  ownerReferences: [{apiVersion: canaryrollout.dev/v1alpha1, kind: CanaryRollout, name: reviews, uid: uid-of-rollout, controller: true}]
`
	for name, tc := range map[string]struct {
		there string
		fails bool
	}{
		"by ours without our label": {ours, false},
		"by another owner's":        {strings.Replace(ours, "uid-of-rollout", "uid-of-another", 1), true},
		"by one of other bytes":     {strings.Replace(ours, "hash: h", "hash: i", 1), true},
		"by nobody's":               {"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: reviews-bbb, namespace: bookinfo}}", true},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newRecorder(t, tc.there)
			got, err := (&Applier{Writer: cluster}).Apply(t.Context(), snapshot(t),
				[]plan.Action{plan.CreateReplicaSet{Revision: "bbb", TemplateHash: "h"}})
			if tc.fails != apierrors.IsAlreadyExists(err) || tc.fails != (len(got.Writes) == 0) || !tc.fails && !got.Writes[0].Awaited {
				t.Errorf("result = %+v, %v", got, err)
			}
			there := observe.New(observe.ReplicaSetKind)
			if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: "bookinfo", Name: "reviews-bbb"}, there); err != nil {
				t.Fatal(err)
			}
			if isOurs := there.GetLabels()[v1alpha1.RolloutLabel] == "reviews"; isOurs == tc.fails {
				t.Errorf("labels = %v", there.GetLabels())
			}
		})
	}
}

func TestAsConflict(t *testing.T) {
	object := observe.Object{Kind: observe.HTTPRouteKind, Name: "reviews"}
	failedTest := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "testing failed", 0, false)
	invalid := apierrors.NewInvalid(observe.HTTPRouteKind.GroupKind(), "reviews", nil)
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "reviews", errors.New("no"))
	if err := asConflict(failedTest, object); !apierrors.IsConflict(err) {
		t.Errorf("a failed test: %v", err)
	}
	for _, other := range []error{invalid, forbidden, context.Canceled} {
		if err := asConflict(other, object); !errors.Is(err, other) {
			t.Errorf("%v became %v", other, err)
		}
	}
	if reason := apierrors.ReasonForError(asConflict(invalid, object)); reason != metav1.StatusReasonInvalid {
		t.Errorf("reason = %s", reason)
	}
}
