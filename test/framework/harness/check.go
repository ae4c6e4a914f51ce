// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// Route reads the user's route.
func (a *App) Route() *unstructured.Unstructured {
	a.t.Helper()
	return a.RouteOf(a.kind)
}

// RouteOf reads the route of one of several kinds.
func (a *App) RouteOf(kind Kind) *unstructured.Unstructured {
	a.t.Helper()
	route := routeOf(a.Namespace, kind)
	if err := a.env.Admin.Get(a.t.Context(), client.ObjectKeyFromObject(route), route); err != nil {
		a.t.Fatal(err)
	}
	return route
}

// routeOf returns the identity of the route of an app.
func routeOf(namespace string, kind Kind) *unstructured.Unstructured {
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: kind.Name})
	route.SetNamespace(namespace)
	route.SetName("bookinfo-reviews")
	return route
}

// usersPart returns the spec of a route without the controller's part: header rules, mirrors, and the pair's weights.
func (a *App) usersPart(route *unstructured.Unstructured) string {
	a.t.Helper()
	spec := route.DeepCopy().Object["spec"].(map[string]any)
	rules := usersRules(spec["rules"].([]any))
	for _, item := range rules {
		rule := item.(map[string]any)
		dropMirrors(rule)
		backends := rule["backendRefs"].([]any)
		for _, backend := range backends {
			if len(backends) > 1 {
				delete(backend.(map[string]any), "weight")
			}
		}
	}
	spec["rules"] = rules
	encoded, err := json.Marshal(spec)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(encoded)
}

// dropMirrors removes the filters that mirror requests to the canary.
func dropMirrors(rule map[string]any) {
	filters, _ := rule["filters"].([]any)
	users := slices.DeleteFunc(slices.Clone(filters), func(filter any) bool {
		to, _, _ := unstructured.NestedString(filter.(map[string]any), "requestMirror", "backendRef", "name")
		return to == "reviews-canary"
	})
	if rule["filters"] = users; len(users) == 0 {
		delete(rule, "filters")
	}
}

// CheckRoute reports an error if the user's part of the route has changed.
func (a *App) CheckRoute() {
	a.t.Helper()
	if got := a.usersPart(a.Route()); got != a.userRoute {
		a.t.Errorf("the user's route has changed:\nwas %s\nis  %s", a.userRoute, got)
	}
}

// Excuse is a reason why requests may fail: the test itself removed the pods that would have answered them, or released a
// version that answers badly.
type Excuse struct {
	From, To time.Time
	// Revision is the revision of the removed pods. Failed requests to other pods are not excused, those without any
	// pod are. Empty if the pod does not matter.
	Revision string
	// Pod is the only removed pod: failed requests to any other pod are not excused. Empty if there were more.
	Pod string
	// Answered excuses the answers with status 500 that pods of Revision, or of any, gave themselves, at any time, and no other
	// failure.
	Answered bool
}

// BadVersion excuses the errors of a version with backend.ErrorPercent, or of all versions without a revision.
func BadVersion(revision string) Excuse { return Excuse{Revision: revision, Answered: true} }

// Killed excuses requests to pods of a revision within one second of the test killing them: a request in flight is
// lost when its pod dies, and the gateway needs time to learn of it.
func Killed(revision string, at time.Time) Excuse {
	return Excuse{From: at.Add(-time.Second), To: at.Add(time.Second), Revision: revision}
}

// KilledPod is Killed for one pod of a revision whose other pods still answer.
func KilledPod(pod string, at time.Time) Excuse {
	return Excuse{From: at.Add(-time.Second), To: at.Add(time.Second), Pod: pod}
}

func (e Excuse) covers(failure load.Result) bool {
	if e.Answered {
		return failure.Status == http.StatusInternalServerError && failure.Revision != "" && (e.Revision == "" || failure.Revision == e.Revision)
	}
	within := failure.Start.After(e.From) && failure.Start.Before(e.To)
	if e.Pod != "" {
		return within && failure.Pod == e.Pod
	}
	return within && (e.Revision == "" || failure.Pod == "" || strings.HasPrefix(failure.Pod, "reviews-"+e.Revision+"-"))
}

// CheckLoss stops the requests and reports an error if one was lost.
func (a *App) CheckLoss(excuses ...Excuse) {
	a.t.Helper()
	for _, traffic := range a.generators() {
		traffic.Stop()
		total := traffic.Total()
		a.t.Logf("requests: %s", total)
		if total.Skipped > 0 {
			a.t.Errorf("%d requests were due and not sent: the measurement is worthless", total.Skipped)
		}
		a.CheckFailures(traffic.Failures(), excuses...)
	}
}

// CheckFailures reports every failure without an excuse.
func (a *App) CheckFailures(failures []load.Result, excuses ...Excuse) {
	a.t.Helper()
	for _, failure := range failures {
		if !slices.ContainsFunc(excuses, func(e Excuse) bool { return e.covers(failure) }) {
			a.t.Errorf("lost: %s", failure)
		}
	}
}

func (a *App) generators() []*load.Generator {
	if a.StableOnly == nil {
		return []*load.Generator{a.Traffic}
	}
	return []*load.Generator{a.Traffic, a.StableOnly}
}

// CheckNoLoss is CheckLoss for the requests so far, without stopping them.
func (a *App) CheckNoLoss() {
	a.t.Helper()
	for _, traffic := range a.generators() {
		for _, failure := range traffic.Failures() {
			a.t.Errorf("lost: %s", failure)
		}
	}
}

const (
	// enough is the minimum time over which a share is measured.
	enough = 1600 * time.Millisecond
	// margin is how long before a status change the measured window ends, because the status can arrive after the
	// effect.
	margin = 200 * time.Millisecond
)

// CheckShares checks the measured share of the canary for every period in which a weight stayed verified long enough
// during the steps: the share must lie within the 99 % interval.
func (a *App) CheckShares() {
	a.t.Helper()
	measured := 0
	moments := a.Moments()
	for i := 0; i < len(moments); {
		j := i + 1
		for j < len(moments) && sameTraffic(moments[i].Status, moments[j].Status) {
			j++
		}
		end := time.Now()
		if j < len(moments) {
			end = moments[j].At.Add(-margin)
		}
		from := moments[i].At.Add(a.settle)
		if isStepping(moments[i].Status) && end.Sub(from) > enough {
			a.checkShare(moments[i].Status, from, end)
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

func (a *App) checkShare(s v1alpha1.CanaryRolloutStatus, from, to time.Time) {
	a.t.Helper()
	stats := a.Traffic.Window(from, to, "")
	weight, got, answered := s.Traffic.VerifiedWeight, stats.ByRevision[s.Canary.Revision], stats.Sent-stats.Failed
	low, high := BinomialInterval(answered, float64(weight)/100)
	text := fmt.Sprintf("weight %d verified for %s: %d of %d answers from the canary (99 %%: %d to %d)",
		weight, to.Sub(from).Round(time.Second/10), got, answered, low, high)
	if got < low || got > high {
		a.t.Error(text)
		return
	}
	a.t.Log(text)
}

// CheckNever reports an error if a request without the header that was started in the window reached the revision.
func (a *App) CheckNever(revision string, from, to time.Time) {
	a.t.Helper()
	if n := a.Traffic.Window(from, to, "").ByRevision[revision]; n > 0 {
		a.t.Errorf("%d requests without the header reached revision %s between %s and %s", n, revision,
			from.Format(time.TimeOnly), to.Format(time.TimeOnly))
	}
}

// Stable returns the stable revision.
func (a *App) Stable() string {
	a.t.Helper()
	return a.Get().Status.Stable.Revision
}

// CheckPromoted waits for the end of a release and checks that only the new revision serves.
func (a *App) CheckPromoted(from string) time.Time {
	a.t.Helper()
	at := a.WaitFor("another revision than "+from+" to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateHealthy && s.Stable.Revision != from
	})
	a.CheckRoute()
	a.WaitForDrain(from)
	return at
}

// CheckLeft reports an error if the former revision answered through the route after the stable Service was moved
// away from it: all traffic is verified to be on the canary by then, and only returns to the new revision. Argo
// Rollouts moves the Service and the weight at the same time, and data planes learn of the two in any order: requests
// found no pod (argo-rollouts#4710, #4433), or reached the former version once more (argo-rollouts#1826).
func (a *App) CheckLeft(former string) {
	a.t.Helper()
	for _, moment := range a.Moments() {
		m := moment.Status.Memory
		if m != nil && m.Phase == v1alpha1.PhasePromoting && m.StableRevision == former && m.StableService.Revision == m.CurrentRevision {
			a.CheckNever(former, moment.At, time.Now())
			return
		}
	}
	a.t.Error("the stable Service was not seen to be moved")
}

// CheckHeaderRoute waits for some of the testers' requests and checks which revision answered them.
func (a *App) CheckHeaderRoute(since time.Time, canary string) {
	a.t.Helper()
	from := since.Add(a.settle)
	a.Eventually("requests of testers", func() (bool, string) {
		stats := a.Traffic.Window(from, time.Now(), "qa")
		return stats.Sent >= 20, stats.String()
	})
	if stats := a.Traffic.Window(from, time.Now(), "qa"); stats.RevisionShare(canary) != 1 {
		a.t.Errorf("requests with role: qa do not all reach the canary: %v", stats.ByRevision)
	}
}

// LastAnswer returns when the last answer of a revision arrived, so far.
func (a *App) LastAnswer(revision string) time.Time { return a.Traffic.LastAnswer(revision) }

// CheckAborted waits until an abort is complete and checks that the canary no longer receives requests.
func (a *App) CheckAborted(canary string, asked time.Time) {
	a.t.Helper()
	a.WaitForState(v1alpha1.StateAborted)
	a.WaitForDrain(canary)
	a.t.Logf("the last answer of the canary came %s after the abort", a.LastAnswer(canary).Sub(asked).Round(time.Millisecond))
	a.CheckRoute()
	a.CheckLoss()
}
