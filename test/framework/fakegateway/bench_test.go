// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// then is the time at which tests start.
var then = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// parseRoute returns a route in namespace shop, attached to the Gateway one, with this partial spec.
func parseRoute(t *testing.T, name, spec string) *gatewayv1.HTTPRoute {
	t.Helper()
	route := &gatewayv1.HTTPRoute{}
	if err := yaml.UnmarshalStrict([]byte(spec), &route.Spec); err != nil {
		t.Fatal(err)
	}
	route.Name, route.Namespace, route.UID, route.Generation = name, "shop", "u", 1
	route.CreationTimestamp = metav1.Time{Time: then}
	if route.Spec.ParentRefs == nil {
		route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "one", Namespace: ptr.To(gatewayv1.Namespace("default"))}}
	}
	return route
}

func service(name string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
}

// slice returns an EndpointSlice with ready endpoints at these addresses.
func slice(t *testing.T, service string, addresses ...string) *discoveryv1.EndpointSlice {
	t.Helper()
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: service + "-x", Namespace: "shop",
		Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.ParseInt(port, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		s.Ports = []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(int32(number))}}
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{host}})
	}
	return s
}

// pod starts a server that answers with a name.
func pod(t *testing.T, name string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen-Team", r.Header.Get("x-team"))
		fmt.Fprint(w, name)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A bench is a gateway without a cluster: a test passes it the events that a watch would, and runs its steps.
type bench struct {
	*Gateway
	t     *testing.T
	clock *clocktesting.FakeClock
}

func newBench(t *testing.T, options Options, objects ...client.Object) *bench {
	t.Helper()
	options.Name, options.Namespace = "one", "default"
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&gatewayv1.HTTPRoute{}, &gatewayv1.Gateway{}, &gatewayv1.GatewayClass{}).Build()
	clock := clocktesting.NewFakeClock(then)
	b := &bench{newGateway(options, api, clock), t, clock}
	b.port = 8000
	return b
}

// after advances the clock and runs one step of both loops.
func (b *bench) after(d time.Duration) {
	b.t.Helper()
	b.clock.Step(d)
	b.report(b.t.Context(), b.clock.Now())
	b.route(b.t.Context(), b.clock.Now())
}

// get sends a request and returns the status and the body, which names the pod.
func (b *bench) get(target string, headers ...string) (status int, body string) {
	b.t.Helper()
	request := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	b.ServeHTTP(recorder, request)
	return recorder.Code, recorder.Body.String()
}

// hangingPod accepts connections and never answers.
func hangingPod(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}
