// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/cluster/load"
)

// Route reads the user's route.
func (a *App) Route() *unstructured.Unstructured {
	a.t.Helper()
	return a.RouteOf(a.kind)
}

// RouteOf reads the route of one of several kinds.
func (a *App) RouteOf(kind Kind) *unstructured.Unstructured {
	a.t.Helper()
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: kind.Name})
	if err := a.env.Admin.Get(a.t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "bookinfo-reviews"}, route); err != nil {
		a.t.Fatal(err)
	}
	return route
}

// usersPart is the spec of a route, without what is the controller's: header rules, mirrors, and the pair's weights.
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

// dropMirrors takes the filters out that copy requests to the canary.
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

// CheckRoute says when something of the user's route has changed that is not the controller's.
func (a *App) CheckRoute() {
	a.t.Helper()
	if got := a.usersPart(a.Route()); got != a.userRoute {
		a.t.Errorf("the user's route has changed:\nwas %s\nis  %s", a.userRoute, got)
	}
}

// Excuse is a reason why requests may fail: the test itself took away what would have answered them.
type Excuse struct {
	From, To time.Time
	// Revision is that of the pods that were taken away: requests that other pods were asked for are not excused, those
	// that no pod was left for are. Empty when it does not matter who was asked.
	Revision string
	// Pod is the only one that was taken away: nothing that another one was asked for is excused. Empty when there were
	// more.
	Pod string
}

// Killed excuses what pods of a revision were asked for in the second before and after the test killed them: a request
// that is under way when its pod dies is lost, and the gateway has to learn of it.
func Killed(revision string, at time.Time) Excuse {
	return Excuse{From: at.Add(-time.Second), To: at.Add(time.Second), Revision: revision}
}

// KilledPod is Killed for one pod, with others of its revision there to answer.
func KilledPod(pod string, at time.Time) Excuse {
	return Excuse{From: at.Add(-time.Second), To: at.Add(time.Second), Pod: pod}
}

func (e Excuse) covers(failure load.Result) bool {
	within := failure.Start.After(e.From) && failure.Start.Before(e.To)
	if e.Pod != "" {
		return within && failure.Pod == e.Pod
	}
	return within && (e.Revision == "" || failure.Pod == "" || strings.HasPrefix(failure.Pod, "reviews-"+e.Revision+"-"))
}

// CheckLoss stops the requests and says when one was lost.
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

// CheckFailures says when one of them has no excuse.
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

// CheckNoLoss is CheckLoss until now, with the requests going on.
func (a *App) CheckNoLoss() {
	a.t.Helper()
	for _, traffic := range a.generators() {
		for _, failure := range traffic.Failures() {
			a.t.Errorf("lost: %s", failure)
		}
	}
}

const (
	// enough is how long a share is measured at least.
	enough = 1600 * time.Millisecond
	// margin is how much later than its effect the news of the end of something may come in.
	margin = 200 * time.Millisecond
)

// CheckShares holds, for every time that a weight stood verified for long enough while the steps were walked, the
// measured share of the canary against it: it has to lie within the 99 % interval.
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
		from := moments[i].At.Add(a.propagation)
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

// CheckNever says when one of the requests without a header that were started in the window reached the revision.
func (a *App) CheckNever(revision string, from, to time.Time) {
	a.t.Helper()
	if n := a.Traffic.Window(from, to, "").ByRevision[revision]; n > 0 {
		a.t.Errorf("%d requests without the header reached revision %s between %s and %s", n, revision,
			from.Format(time.TimeOnly), to.Format(time.TimeOnly))
	}
}

// Stable is the stable revision.
func (a *App) Stable() string {
	a.t.Helper()
	return a.Get().Status.Stable.Revision
}

// CheckPromoted waits for the end of a release and checks that the new revision serves alone.
func (a *App) CheckPromoted(from string) time.Time {
	a.t.Helper()
	at := a.WaitFor("another revision than "+from+" to be stable", func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StateHealthy && s.Stable.Revision != from
	})
	a.CheckRoute()
	a.WaitForDrain(from)
	return at
}

// CheckLeft says when the former revision answered by the route after the stable Service was moved away from it: all
// traffic is proven to be on the canary by then, and comes back to nobody but the new revision. The peer moves the Service
// and the weight at once, and data planes learn of that in any order: requests found no pod (argo-rollouts#4710, #4433), or
// the former version once more (argo-rollouts#1826).
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

// CheckHeaderRoute lets the testers' requests come in for a while, and checks where they went.
func (a *App) CheckHeaderRoute(since time.Time, canary string) {
	a.t.Helper()
	from := since.Add(a.propagation)
	a.Eventually("requests of testers", func() (bool, string) {
		stats := a.Traffic.Window(from, time.Now(), "qa")
		return stats.Sent >= 20, stats.String()
	})
	if stats := a.Traffic.Window(from, time.Now(), "qa"); stats.RevisionShare(canary) != 1 {
		a.t.Errorf("requests with role: qa do not all reach the canary: %v", stats.ByRevision)
	}
}

// LastAnswer is when the last answer of a revision came, so far.
func (a *App) LastAnswer(revision string) time.Time { return a.Traffic.LastAnswer(revision) }

// CheckAborted waits until an abort is through and checks that the canary gets nothing any more.
func (a *App) CheckAborted(canary string, asked time.Time) {
	a.t.Helper()
	a.WaitForState(v1alpha1.StateAborted)
	a.WaitForDrain(canary)
	a.t.Logf("the last answer of the canary came %s after the abort", a.LastAnswer(canary).Sub(asked).Round(time.Millisecond))
	a.CheckRoute()
	a.CheckLoss()
}
