// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

const (
	// rate is requests per second, of all streams of one app.
	rate = 120
	// propagation is how long the gateway's proxies may take to do what they report: twice Traefik's throttle of
	// 200 ms. Shares are only measured from then on.
	propagation = 400 * time.Millisecond
	patience    = 90 * time.Second
)

var httpRoute = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// app is the seed's reviews service in a namespace of its own, released by a CanaryRollout, with requests coming in
// all the while.
type app struct {
	t         *testing.T
	namespace string
	// traffic goes by the rule with the pair, stableOnly by one that has only the stable Service.
	traffic, stableOnly *load.Generator
	// userRoute is the route's spec as it is at rest.
	userRoute string

	mu      sync.Mutex
	history []moment
}

// moment is a status as the API server published it.
type moment struct {
	at     time.Time
	status v1alpha1.CanaryRolloutStatus
}

// newApp deploys version 1, waits until it is Healthy, and starts the requests.
func newApp(t *testing.T, steps ...v1alpha1.Step) *app {
	t.Helper()
	a := &app{t: t, namespace: strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.Name(), "Test"), "/", "-"))}
	a.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}})
	manifests := fmt.Sprintf(workload, a.namespace, a.host())
	if err := cluster.Apply(t.Context(), up.RESTConfig(cluster.Admin), []byte(manifests)); err != nil {
		t.Fatal(err)
	}
	a.create(a.rollout(steps))
	a.record()
	a.waitForState(v1alpha1.StateHealthy)
	a.userRoute = a.routeSpec()
	a.startTraffic()
	return a
}

// workload is the seed's, with a filter and a timeout that have to survive, a field that is none of the controller's
// business, and a second rule that uses only the stable Service.
const workload = `
apiVersion: v1
kind: Service
metadata: {name: reviews-stable, namespace: %[1]s, labels: {app: reviews}}
spec: {ports: [{port: 9080, name: http}], selector: {app: reviews}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews-canary, namespace: %[1]s, labels: {app: reviews}}
spec: {ports: [{port: 9080, name: http}], selector: {app: reviews}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bookinfo-reviews, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [%[2]s]
  rules:
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}]
    timeouts: {request: 20s}
    backendRefs:
    - {name: reviews-canary, port: 9080}
    - {name: reviews-stable, port: 9080}
  - matches: [{path: {type: PathPrefix, value: /stable-only}}]
    backendRefs: [{name: reviews-stable, port: 9080}]
`

func (a *app) host() string { return a.namespace + ".example.com" }

func (a *app) rollout(steps []v1alpha1.Step) *v1alpha1.CanaryRollout {
	labels := map[string]string{"app": "reviews"}
	return &v1alpha1.CanaryRollout{
		ObjectMeta: metav1.ObjectMeta{Name: "reviews", Namespace: a.namespace},
		Spec: v1alpha1.CanaryRolloutSpec{
			Replicas: ptr.To[int32](4), Selector: v1alpha1.PodSelector{MatchLabels: labels},
			ScaleDownDelaySeconds: ptr.To[int32](3),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: ptr.To[int64](1),
					Containers:                    []corev1.Container{{Name: "reviews", Image: builder.ImageV1}},
				},
			},
			Traffic: v1alpha1.Traffic{
				StableService: "reviews-stable", CanaryService: "reviews-canary", SettleSeconds: ptr.To[int32](1),
				Routes: []v1alpha1.RouteReference{{Kind: "HTTPRoute", Name: "bookinfo-reviews"}},
			},
			Steps: steps,
		},
	}
}

func (a *app) startTraffic() {
	a.t.Helper()
	a.traffic = a.load("/reviews/0", rate, load.Stream{Name: "qa", Share: 0.1, Headers: map[string]string{"role": "qa"}})
	a.stableOnly = a.load("/stable-only", rate/6)
	a.eventually("the first answers", func() (bool, string) {
		stats := a.traffic.Total()
		return stats.Sent > rate/4, stats.String()
	})
}

func (a *app) load(path string, rate float64, streams ...load.Stream) *load.Generator {
	generator := load.Start(context.WithoutCancel(a.t.Context()), load.Options{
		URL: "http://" + cluster.GatewayAddress + path, Host: a.host(), Rate: rate, Streams: streams,
		AccessLog: up.AccessLog(), PodAt: pods.PodAt,
	})
	a.t.Cleanup(generator.Stop)
	return generator
}

func (a *app) create(object client.Object) {
	a.t.Helper()
	if err := admin.Create(a.t.Context(), object); err != nil {
		a.t.Fatal(err)
	}
}

// get reads the rollout.
func (a *app) get() *v1alpha1.CanaryRollout {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{}
	if err := admin.Get(a.t.Context(), client.ObjectKey{Namespace: a.namespace, Name: "reviews"}, rollout); err != nil {
		a.t.Fatal(err)
	}
	return rollout
}

// patch changes the rollout by a merge patch, as kubectl does.
func (a *app) patch(patch string) {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: "reviews"}}
	err := admin.Patch(a.t.Context(), rollout, client.RawPatch("application/merge-patch+json", []byte(patch)))
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) annotate(key, value string) time.Time {
	a.t.Helper()
	now := time.Now()
	a.patch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value))
	return now
}

func (a *app) setImage(image string) {
	a.t.Helper()
	a.patch(fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"reviews","image":%q}]}}}}`, image))
}

func (a *app) setTemplate(image, annotation, value string) {
	a.t.Helper()
	a.patch(fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%q}},"spec":{"containers":[{"name":"reviews","image":%q}]}}}}`,
		annotation, value, image))
}

// record keeps every status that the API server publishes.
func (a *app) record() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	watcher, err := admin.Watch(ctx, &v1alpha1.CanaryRolloutList{}, client.InNamespace(a.namespace))
	if err != nil {
		cancel()
		a.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range watcher.ResultChan() {
			if rollout, ok := event.Object.(*v1alpha1.CanaryRollout); ok {
				a.mu.Lock()
				a.history = append(a.history, moment{time.Now(), rollout.Status})
				a.mu.Unlock()
			}
		}
	}()
	a.t.Cleanup(func() {
		watcher.Stop()
		cancel()
		<-done
	})
}

func (a *app) moments() []moment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]moment(nil), a.history...)
}

// waitFor waits for a status, from the moment of the call on or as it stands.
func (a *app) waitFor(what string, condition func(v1alpha1.CanaryRolloutStatus) bool) time.Time {
	a.t.Helper()
	var at time.Time
	from := max(0, len(a.moments())-1)
	a.eventually(what, func() (bool, string) {
		last := "no status yet"
		for _, moment := range a.moments()[from:] {
			at, last = moment.at, describe(moment.status)
			if condition(moment.status) {
				return true, ""
			}
		}
		return false, last
	})
	return at
}

func describe(s v1alpha1.CanaryRolloutStatus) string {
	return fmt.Sprintf("%s step %s weight %s revision %s ready %s: %s", s.State, s.Step, s.Weight, s.Revision, s.Ready, s.Message)
}

func (a *app) waitForState(state v1alpha1.State) time.Time {
	a.t.Helper()
	return a.waitFor(string(state), func(s v1alpha1.CanaryRolloutStatus) bool { return s.State == state })
}

func (a *app) waitForPause(step string) time.Time {
	a.t.Helper()
	return a.waitFor("the pause at step "+step, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StatePaused && s.Step == step
	})
}

func (a *app) eventually(what string, condition func() (bool, string)) {
	a.t.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var ok bool
		if ok, last = condition(); ok {
			return
		}
		select {
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	a.t.Fatalf("waited %s in vain for %s: %s", patience, what, last)
}

// routeSpec is the spec of the user's route, without what is the controller's: header rules and the pair's weights.
func (a *app) routeSpec() string {
	a.t.Helper()
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(httpRoute)
	if err := admin.Get(a.t.Context(), client.ObjectKey{Namespace: a.namespace, Name: "bookinfo-reviews"}, route); err != nil {
		a.t.Fatal(err)
	}
	spec := route.Object["spec"].(map[string]any)
	var rules []any
	for _, rule := range spec["rules"].([]any) {
		if name, _ := rule.(map[string]any)["name"].(string); strings.HasPrefix(name, "canaryrollout-") {
			continue
		}
		backends := rule.(map[string]any)["backendRefs"].([]any)
		for _, backend := range backends {
			if len(backends) > 1 {
				delete(backend.(map[string]any), "weight")
			}
		}
		rules = append(rules, rule)
	}
	spec["rules"] = rules
	encoded, err := json.Marshal(spec)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(encoded)
}

// checkRoute says when something of the user's route has changed that is not the controller's.
func (a *app) checkRoute() {
	a.t.Helper()
	if got := a.routeSpec(); got != a.userRoute {
		a.t.Errorf("the user's route has changed:\nwas %s\nis  %s", a.userRoute, got)
	}
}

// checkLoss stops the requests and says when one was lost. excused are the times at which the test itself killed
// pods: requests of the second after that may fail.
func (a *app) checkLoss(excused ...time.Time) {
	a.t.Helper()
	for _, traffic := range []*load.Generator{a.traffic, a.stableOnly} {
		traffic.Stop()
		total := traffic.Total()
		a.t.Logf("requests: %s", total)
		if total.Skipped > 0 {
			a.t.Errorf("%d requests were due and not sent: the measurement is worthless", total.Skipped)
		}
		for _, failure := range traffic.Failures() {
			if !isExcused(failure.Start, excused) {
				a.t.Errorf("lost: %s", failure)
			}
		}
	}
}

func isExcused(at time.Time, excused []time.Time) bool {
	for _, killed := range excused {
		if at.After(killed.Add(-time.Second)) && at.Before(killed.Add(time.Second)) {
			return true
		}
	}
	return false
}

// checkShares holds, for every time that a weight stood verified for two seconds or more while the steps were walked,
// the measured share of the canary against it.
func (a *app) checkShares() {
	a.t.Helper()
	measured := 0
	moments := a.moments()
	for i := 0; i < len(moments); {
		j := i + 1
		for j < len(moments) && sameTraffic(moments[i].status, moments[j].status) {
			j++
		}
		end := time.Now()
		if j < len(moments) {
			end = moments[j].at
		}
		if isStepping(moments[i].status) && end.Sub(moments[i].at) > 2*time.Second {
			a.checkShare(moments[i].status, moments[i].at.Add(propagation), end)
			measured++
		}
		i = j
	}
	if measured == 0 {
		a.t.Error("no weight stood long enough to be measured")
	}
}

func isStepping(s v1alpha1.CanaryRolloutStatus) bool {
	return s.Canary != nil && s.Traffic != nil && s.Memory.Traffic.VerifiedAt != nil && s.Memory.Phase == v1alpha1.PhaseStepping
}

func sameTraffic(x, y v1alpha1.CanaryRolloutStatus) bool {
	return isStepping(x) == isStepping(y) && (!isStepping(x) ||
		x.Traffic.DesiredWeight == y.Traffic.DesiredWeight && x.Canary.Revision == y.Canary.Revision)
}

func (a *app) checkShare(s v1alpha1.CanaryRolloutStatus, from, to time.Time) {
	a.t.Helper()
	stats := a.traffic.Window(from, to, "")
	if stats.Sent == 0 {
		return
	}
	got, want := 100*stats.RevisionShare(s.Canary.Revision), float64(s.Traffic.VerifiedWeight)
	a.t.Logf("verified %3.0f %%, measured %5.1f %% of %d requests in %s", want, got, stats.Sent, to.Sub(from).Round(time.Second/10))
	if math.Abs(got-want) > 5 {
		a.t.Errorf("verified weight %.0f, measured share %.1f %% of %d requests", want, got, stats.Sent)
	}
	if want == 0 && got != 0 {
		a.t.Errorf("requests without the header reached the canary at weight 0: %v", stats.ByRevision)
	}
}

// checkNever says when one of the requests without a header that were started in the window reached the revision.
func (a *app) checkNever(revision string, from, to time.Time) {
	a.t.Helper()
	if n := a.traffic.Window(from, to, "").ByRevision[revision]; n > 0 {
		a.t.Errorf("%d requests without the header reached revision %s between %s and %s", n, revision,
			from.Format(time.TimeOnly), to.Format(time.TimeOnly))
	}
}
