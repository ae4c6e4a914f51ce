// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// An apiServer implements what a gateway needs: discovery, lists, watches, and recorded writes.
type apiServer struct {
	resources map[string]string // list by path
	events    chan []byte       // of HTTPRoutes

	mu     sync.Mutex
	writes []string
}

var discovery = map[string]any{
	"/api": metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}},
	"/apis": metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{
		group("discovery.k8s.io"), group("gateway.networking.k8s.io"),
	}},
	"/api/v1":                            resources("v1", "services", "Service"),
	"/apis/discovery.k8s.io/v1":          resources("discovery.k8s.io/v1", "endpointslices", "EndpointSlice"),
	"/apis/gateway.networking.k8s.io/v1": resources("gateway.networking.k8s.io/v1", "httproutes", "HTTPRoute", "gateways", "Gateway", "gatewayclasses", "GatewayClass"),
	"/apis/discovery.k8s.io":             group("discovery.k8s.io"),
	"/apis/gateway.networking.k8s.io":    group("gateway.networking.k8s.io"),
}

func group(name string) metav1.APIGroup {
	version := metav1.GroupVersionForDiscovery{GroupVersion: name + "/v1", Version: "v1"}
	return metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name,
		Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
}

func resources(version string, names ...string) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version}
	for i := 0; i < len(names); i += 2 {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: names[i], Kind: names[i+1],
			Namespaced: names[i] != "gatewayclasses", Verbs: metav1.Verbs{"get", "list", "watch", "create", "patch", "update"}})
	}
	return list
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	switch found := discovery[r.URL.Path]; {
	case found != nil:
		_ = json.NewEncoder(w).Encode(found)
	case r.Method != http.MethodGet:
		s.keep(w, r)
	case query.Get("watch") == "":
		_, _ = io.WriteString(w, s.resources[r.URL.Path])
	case query.Get("sendInitialEvents") != "":
		w.WriteHeader(http.StatusUnprocessableEntity) // the client falls back to a list
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure",
			Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
	default:
		s.watch(w, r)
	}
}

// keep records a write and answers with the body, which is an object or a patch of one.
func (s *apiServer) keep(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.writes = append(s.writes, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = w.Write(body)
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	for {
		var events chan []byte
		if strings.HasSuffix(r.URL.Path, "/httproutes") {
			events = s.events
		}
		select {
		case <-r.Context().Done():
			return
		case event := <-events:
			_, _ = w.Write(event)
			w.(http.Flusher).Flush()
		}
	}
}

func (s *apiServer) written() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.writes, "\n")
}

func encodeTyped(t *testing.T, kind, version string, object any) string {
	t.Helper()
	encoded, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return `{"kind":"` + kind + `","apiVersion":"` + version + `",` + string(encoded[1:])
}

// TestStart starts a gateway from nothing: it creates its objects, learns of routes, Services and slices by list and
// by watch, serves requests on its own address, and stops.
func TestStart(t *testing.T) {
	const gatewayAPI = "gateway.networking.k8s.io/v1"
	backend := service("a")
	backend.ResourceVersion = "1"
	endpoints := slice(t, "a", pod(t, "a"))
	route := parseRoute(t, "r", "rules: [{"+to("a")+"}]")
	route.ResourceVersion = "2"
	list := func(kind, version, item string) string {
		return `{"kind":"` + kind + `","apiVersion":"` + version + `","metadata":{"resourceVersion":"1"},"items":[` + item + `]}`
	}
	api := &apiServer{events: make(chan []byte, 1), resources: map[string]string{
		"/api/v1/namespaces/shop/services": list("ServiceList", "v1", encodeTyped(t, "Service", "v1", backend)),
		"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices": list("EndpointSliceList", "discovery.k8s.io/v1",
			encodeTyped(t, "EndpointSlice", discoveryv1.SchemeGroupVersion.String(), endpoints)),
		"/apis/" + gatewayAPI + "/namespaces/shop/httproutes": list("HTTPRouteList", gatewayAPI, ""),
	}}
	server := httptest.NewServer(api)
	t.Cleanup(server.CloseClientConnections)
	g, err := Start(t.Context(), &rest.Config{Host: server.URL, QPS: -1}, Options{Name: "one", Others: []string{"two"}, Namespace: "default", Watch: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, g); got != http.StatusNotFound {
		t.Errorf("without a route: %d", got)
	}
	api.events <- []byte(`{"type":"ADDED","object":` + encodeTyped(t, "HTTPRoute", gatewayAPI, route) + "}\n")
	for deadline := time.Now().Add(10 * time.Second); status(t, g) != http.StatusOK || !strings.Contains(api.written(), "/httproutes/"); {
		if time.Now().After(deadline) {
			t.Fatal("the route is not served, or not reported; written was:\n", api.written())
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	const gateways = "/apis/" + gatewayAPI + "/namespaces/default/gateways"
	want := strings.Join([]string{
		"POST /apis/" + gatewayAPI + "/gatewayclasses", "PUT /apis/" + gatewayAPI + "/gatewayclasses/one/status",
		"POST " + gateways, "PUT " + gateways + "/one/status", "POST " + gateways, "PUT " + gateways + "/two/status",
		"PATCH /apis/" + gatewayAPI + "/namespaces/shop/httproutes/r/status",
	}, "\n")
	if got := api.written(); got != want {
		t.Errorf("written was\n%s\nwant\n%s", got, want)
	}
	if refs := g.Parents(); len(refs) != 2 || refs[0].Name != "one" || *refs[1].Namespace != gatewayv1.Namespace("default") {
		t.Errorf("its parents are %v", refs)
	}
}

// status returns the status of a request through the gateway's listener.
func status(t *testing.T, g *Gateway) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.Address()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
