// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func aServiceWith(selector map[string]string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews-stable"},
		Spec:       corev1.ServiceSpec{Selector: selector},
	}
}

// TestServices checks what can be wrong with a Service. Argo Rollouts reported nothing while its stable Service
// selected a label that only the future pods had, and no pod answered for two hours (argo-rollouts#4371).
func TestServices(t *testing.T) {
	otherRollout := func(name string, created time.Time) client.Object {
		rollout := anApp(t, name, "")
		rollout.SetCreationTimestamp(metav1.NewTime(created))
		return rollout
	}
	born := anApp(t, "reviews", "").GetCreationTimestamp().Time
	good := aServiceWith(map[string]string{"app": "reviews", "pod-template-hash": "aaa"})
	former := aReplicaSet(t, "aaa", "", func(replicaSet *unstructured.Unstructured) {
		unstructured.RemoveNestedField(replicaSet.Object, "spec", "template", "metadata", "labels", "version")
	})
	for name, tc := range map[string]struct {
		objects     []client.Object
		want        string
		rev         string
		message     string
		isNotFound  bool
		wantMessage string
	}{
		"good":                     {objects: []client.Object{good}, rev: "aaa"},
		"not found":                {want: v1alpha1.ReasonServiceNotFound, isNotFound: true},
		"no selector":              {objects: []client.Object{aServiceWith(nil)}, want: v1alpha1.ReasonServiceWithoutSelector},
		"selects what pods lack":   {objects: []client.Object{aServiceWith(map[string]string{"tier": "x"})}, want: v1alpha1.ReasonServiceSelectorMismatch},
		"selects another value":    {objects: []client.Object{aServiceWith(map[string]string{"app": "x"})}, want: v1alpha1.ReasonServiceSelectorMismatch},
		"a younger rollout has it": {objects: []client.Object{good, otherRollout("a", born.Add(time.Second))}, rev: "aaa"},
		"an older rollout has it": {
			objects: []client.Object{good, otherRollout("older", born.Add(-time.Second)), otherRollout("oldest", born.Add(-time.Hour))},
			want:    v1alpha1.ReasonServiceConflict, rev: "aaa",
			wantMessage: "Service reviews-stable is managed by CanaryRollout oldest, which is older: name another Service",
		},
		"selects what no stable pod has": {
			objects: []client.Object{aServiceWith(map[string]string{"app": "reviews", "version": "v1", "pod-template-hash": "aaa"}), former},
			want:    v1alpha1.ReasonServiceSelectorMismatch, rev: "aaa",
			wantMessage: "Service reviews-stable selects pods by version=v1, which the serving pods of revision aaa do not have: " +
				"remove it from the selector until a revision with the label is stable",
		},
		"selects stable pods, and those of the template": {objects: []client.Object{good, former}, rev: "aaa"},
		"of the same second, by name":                    {objects: []client.Object{good, otherRollout("a", born)}, want: v1alpha1.ReasonServiceConflict, rev: "aaa"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(tc.objects, anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa"))))
			got := w.mustObserve(t).Observed.Stable
			if got.Found == tc.isNotFound || got.Revision != tc.rev || got.Name != "reviews-stable" {
				t.Errorf("service = %+v", got)
			}
			if problem := ptr.Deref(got.Problem, plan.Problem{}); problem.Reason != tc.want ||
				tc.wantMessage != "" && problem.Message != tc.wantMessage {
				t.Errorf("problem = %+v, want %s", problem, tc.want)
			}
			if w.reads != 0 {
				t.Errorf("%d live reads", w.reads)
			}
		})
	}
}

func anEndpoint(pod string, ready, terminating *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{"10.0.0.1"},
		Conditions: discoveryv1.EndpointConditions{Ready: ready, Terminating: terminating},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod},
	}
}

func aSlice(name, service string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "bookinfo", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		Endpoints: endpoints,
	}
}

func TestEndpoints(t *testing.T) {
	yes, no := ptr.To(true), ptr.To(false)
	deleting := aReplicaSet(t, "ddd", "", func(replicaSet *unstructured.Unstructured) {
		now := metav1.Now()
		replicaSet.SetDeletionTimestamp(&now)
		replicaSet.SetFinalizers([]string{"foregroundDeletion"})
	})
	w := newWorld(t, []client.Object{
		anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")),
		aReplicaSet(t, "aaa", "", nil), aReplicaSet(t, "bbb", "", nil), deleting,
		aServiceWith(map[string]string{"app": "reviews"}),
		aSlice("v4", "reviews-stable",
			anEndpoint("reviews-aaa-x2x4z", yes, nil), anEndpoint("reviews-aaa-x2x5z", nil, no),
			anEndpoint("reviews-aaa-x2x6z", no, nil), anEndpoint("reviews-aaa-x2x7z", yes, yes),
			anEndpoint("reviews-bbb-x2x4z", yes, nil), anEndpoint("ratings-aaa-x2x4z", yes, nil),
			anEndpoint("reviews-ddd-x2x4z", no, yes)),
		aSlice("v6", "reviews-stable",
			anEndpoint("reviews-aaa-x2x4z", yes, nil), anEndpoint("reviews-bbb-x2x4z", no, nil),
			discoveryv1.Endpoint{Addresses: []string{"::1"}}, discoveryv1.Endpoint{Addresses: []string{"::2"}}),
		aSlice("canary", "reviews-canary", anEndpoint("reviews-bbb-x2x8z", yes, nil)),
		aSlice("another", "ratings", anEndpoint("reviews-bbb-x2x9z", yes, nil)),
	})
	snap := w.mustObserve(t)
	want := []plan.Endpoints{
		{Revision: "", Ready: 3, Total: 3},
		{Revision: "aaa", Ready: 2, Total: 4},
		{Revision: "bbb", Ready: 0, Total: 1},
		{Revision: "ddd", Ready: 0, Total: 1},
	}
	if diff := cmp.Diff(want, snap.Observed.Stable.Endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"::1", "::2", "ratings-aaa-x2x4z"}, snap.Observed.Stable.Others); diff != "" {
		t.Errorf("ready endpoints of others (-want +got):\n%s", diff)
	}
	if len(snap.Observed.ReplicaSets) != 2 {
		t.Errorf("ReplicaSets = %+v, want none that is being deleted", snap.Observed.ReplicaSets)
	}
}

// TestEndpointsWithoutPort checks that a pod counts as ready only if it serves all ports that the routes use. A pod
// without the container port that a Service names stays an endpoint, in a slice without ports
// (kubernetes/kubernetes#83145), and would lose every request of its weight.
func TestEndpointsWithoutPort(t *testing.T) {
	route := parse(t, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: reviews, namespace: bookinfo, generation: 4}, spec: {rules: [
		{backendRefs: [{name: reviews-stable, port: 80}, {name: reviews-canary, port: 80}]},
		{backendRefs: [{name: reviews-stable, port: 90}, {name: reviews-canary, port: 80}]}]}}`)
	service := aServiceWith(map[string]string{"app": "reviews"})
	web := corev1.ServicePort{Name: "web", Port: 80, TargetPort: intstr.FromString("http")}
	admin := corev1.ServicePort{Name: "admin", Port: 90, TargetPort: intstr.FromInt32(9090)}
	quic := corev1.ServicePort{Name: "quic", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: intstr.FromString("quic")}
	other := corev1.ServicePort{Name: "other", Port: 70, TargetPort: intstr.FromString("other")}
	slice := func(ports ...string) *discoveryv1.EndpointSlice {
		s := aSlice("v4", "reviews-stable", anEndpoint("reviews-aaa-x2x4z", ptr.To(true), nil))
		for _, port := range ports {
			s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &port})
		}
		return s
	}
	const noPod = "port 80 of Service reviews-stable leads to a container port named http, which the pods do not have: " +
		"give a container port that name in spec.template, or change the targetPort"
	for name, tc := range map[string]struct {
		ports []corev1.ServicePort
		slice *discoveryv1.EndpointSlice
		want  plan.Endpoints
	}{
		"served":          {[]corev1.ServicePort{web, admin, other}, slice("admin", "web"), plan.Endpoints{Revision: "aaa", Ready: 1, Total: 1}},
		"named otherwise": {[]corev1.ServicePort{web, admin}, slice("admin"), plan.Endpoints{Revision: "aaa", Total: 1, LacksPort: noPod}},
		"none at all":     {[]corev1.ServicePort{web, admin}, slice(), plan.Endpoints{Revision: "aaa", Total: 1, LacksPort: noPod}},
		"renamed, with a number": {[]corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}, admin}, slice("admin", "web"), plan.Endpoints{
			Revision: "aaa", Total: 1, LacksPort: "port 80 of Service reviews-stable is not yet in EndpointSlice v4: it takes a moment " +
				"after a change of the Service; if it persists, check what writes the EndpointSlices"}},
		"UDP of the same number": {[]corev1.ServicePort{quic, web, admin}, slice("admin", "web"), plan.Endpoints{Revision: "aaa", Ready: 1, Total: 1}},
		"UDP alone":              {[]corev1.ServicePort{quic, admin}, slice("admin", "quic"), plan.Endpoints{Revision: "aaa", Ready: 1, Total: 1}},
		"not a port of the Service": {[]corev1.ServicePort{web}, slice("web"), plan.Endpoints{Revision: "aaa", Total: 1,
			LacksPort: "Service reviews-stable has no port 90, which a route uses: add it, or correct the backendRef"}},
	} {
		t.Run(name, func(t *testing.T) {
			service := service.DeepCopy()
			service.Spec.Ports = tc.ports
			stripped, _ := StripService(service)
			strippedSlice, _ := StripEndpointSlice(tc.slice)
			w := newWorld(t, []client.Object{
				anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")), aReplicaSet(t, "aaa", "", nil), route,
				stripped.(client.Object), strippedSlice.(client.Object),
			})
			if diff := cmp.Diff([]plan.Endpoints{tc.want}, w.mustObserve(t).Observed.Stable.Endpoints); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPublishedNotReady checks that the ReplicaSet's count is used if a Service publishes every pod as ready.
func TestPublishedNotReady(t *testing.T) {
	for published, want := range map[bool]int32{false: 2, true: 1} {
		service := aServiceWith(map[string]string{"app": "reviews"})
		service.Spec.PublishNotReadyAddresses = published
		stripped, _ := StripService(service)
		w := newWorld(t, []client.Object{
			anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")), aReplicaSet(t, "aaa", "", nil), stripped.(client.Object),
			aSlice("v4", "reviews-stable", anEndpoint("reviews-aaa-x2x4z", ptr.To(true), nil), anEndpoint("reviews-aaa-x2x5z", ptr.To(true), nil)),
		})
		if got := w.mustObserve(t).Observed.Stable.Endpoints; len(got) != 1 || got[0].Ready != want {
			t.Errorf("published %t: endpoints = %+v, want %d ready: the ReplicaSet has 1", published, got, want)
		}
	}
}

// TestEndpointsOfCutNames has adopted ReplicaSets whose pods' names have the same prefix: the one that has pods owns
// them.
func TestEndpointsOfCutNames(t *testing.T) {
	long := "a-deployment-with-a-name-that-is-too-long-to-show-a-revision"
	named := func(of string, replicas int64) *unstructured.Unstructured {
		return aReplicaSet(t, of, "", func(replicaSet *unstructured.Unstructured) {
			replicaSet.SetName(long + "-" + of)
			_ = unstructured.SetNestedField(replicaSet.Object, replicas, "status", "replicas")
		})
	}
	for name, tc := range map[string]struct {
		others int64
		want   string
	}{"one has pods": {0, "aaa"}, "both have": {1, ""}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []client.Object{
				anApp(t, "reviews", memory(hashOf(t), "aaa", "aaa")), named("aaa", 1), named("bbb", tc.others),
				aServiceWith(map[string]string{"app": "reviews"}),
				aSlice("v4", "reviews-stable", anEndpoint(long[:58]+"x2x4z", nil, nil)),
			})
			if got := w.mustObserve(t).Observed.Stable.Endpoints; len(got) != 1 || got[0].Revision != tc.want {
				t.Errorf("endpoints = %+v, want those of %q", got, tc.want)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	service := aServiceWith(map[string]string{"app": "reviews"})
	service.ResourceVersion, service.Spec.Ports = "7", []corev1.ServicePort{{Port: 80, Name: "web", Protocol: "UDP", TargetPort: intstr.FromString("http"), NodePort: 30080}}
	service.Annotations = map[string]string{"large": "x"}
	got, err := StripService(service)
	want := aServiceWith(map[string]string{"app": "reviews"})
	want.ResourceVersion, want.Spec.Ports = "7", []corev1.ServicePort{{Port: 80, Name: "web", Protocol: "UDP", TargetPort: intstr.FromString("http")}}
	if diff := cmp.Diff(any(want), got); diff != "" || err != nil {
		t.Errorf("service (-want +got), %v:\n%s", err, diff)
	}
	full := anEndpoint("reviews-aaa-x2x4z", ptr.To(true), nil)
	full.Zone, full.TargetRef.Namespace = ptr.To("z"), "bookinfo"
	slice := aSlice("v4", "reviews-stable", full, discoveryv1.Endpoint{Addresses: []string{"::1"}})
	slice.Labels["other"] = "x"
	bare := anEndpoint("reviews-aaa-x2x4z", ptr.To(true), nil)
	bare.Addresses = nil
	got, err = StripEndpointSlice(slice)
	if diff := cmp.Diff(any(aSlice("v4", "reviews-stable", bare, discoveryv1.Endpoint{Addresses: []string{"::1"}})), got); diff != "" || err != nil {
		t.Errorf("slice (-want +got), %v:\n%s", err, diff)
	}
	for _, strip := range []func(any) (any, error){StripService, StripEndpointSlice} {
		if got, err := strip("a tombstone"); got != "a tombstone" || err != nil {
			t.Errorf("stripped = %v, %v", got, err)
		}
	}
}

// TestNamesInMemory checks that a pass sees what the memory names, even if the spec no longer names it: the Services in
// force, the removed ones, and the routes. Their events have to start passes, so the indexes contain all these names.
func TestNamesInMemory(t *testing.T) {
	const status = `memory: {stableService: {name: former, revision: aaa}, canaryService: {name: reviews-canary, revision: aaa},
		leavingServices: [left, gone], routes: [{kind: HTTPRoute, name: partners, ruleNames: [x]}, {kind: HTTPRoute, name: reviews}]}`
	route := func(name, stable string) client.Object {
		return parse(t, fmt.Sprintf(`{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: %s, namespace: bookinfo, generation: 4}, spec: {rules: [
			{name: x, backendRefs: [{name: %[2]s, port: 80, weight: 60}, {name: reviews-canary, port: 80, weight: 40}]},
			{name: y, backendRefs: [{name: %[2]s, port: 80, weight: 1}, {name: reviews-canary, port: 80, weight: 1}]}]}}`, name, stable))
	}
	service := func(name string) client.Object {
		s := aServiceWith(map[string]string{"app": "reviews", "pod-template-hash": "aaa"})
		s.Name = name
		return s
	}
	rollout := anApp(t, "reviews", status)
	w := newWorld(t, []client.Object{rollout, aReplicaSet(t, "aaa", hashOf(t), nil), service("former"), service("left"),
		route("partners", "former"), route("reviews", "reviews-stable")})
	snap := w.mustObserve(t)
	if s := snap.Observed.Stable; s.Name != "former" || s.Revision != "aaa" {
		t.Errorf("stable is %+v, want the one of memory", s)
	}
	if diff := cmp.Diff([]plan.Service{{Name: "left", Found: true, Revision: "aaa"}, {Name: "gone"}}, snap.Observed.Leaving); diff != "" {
		t.Errorf("leaving Services (-want +got):\n%s", diff)
	}
	var routes []string
	for _, r := range snap.Observed.Routes {
		routes = append(routes, fmt.Sprintf("%s %d %t", r.Name, r.Weight, r.Leaving))
	}
	// The route of the spec already has the Services of the spec, the other one the rule that was written.
	if diff := cmp.Diff([]string{"reviews -1 false", "partners 40 true"}, routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	if got := ServicesOf(typed(t, rollout)); !slices.Equal(got, []string{"former", "gone", "left", "reviews-canary", "reviews-stable"}) {
		t.Errorf("indexed by the Services %v", got)
	}
	if got := routeNames(typed(t, rollout)); !slices.Equal(got, []string{"partners", "reviews"}) {
		t.Errorf("indexed by the routes %v", got)
	}
}
