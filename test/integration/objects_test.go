// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// within waits for something other than the rollout's status, and returns how long it took.
func (a *app) within(limit time.Duration, what string, condition func() (ok bool, found string)) time.Duration {
	a.t.Helper()
	begun := time.Now()
	for {
		ok, found := condition()
		switch {
		case ok:
			return time.Since(begun)
		case time.Since(begun) > limit:
			a.t.Fatalf("timed out after %s waiting for %s: %s", limit, what, found)
		}
		select {
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// selector returns the selector of a Service.
func (a *app) selector(service string) map[string]string {
	a.t.Helper()
	object := &corev1.Service{}
	a.get(service, object)
	return object.Spec.Selector
}

// checkSelects reports an error if a Service does not select exactly the given revision, or, if revision is empty,
// what the user wrote.
func (a *app) checkSelects(service, revision string) {
	a.t.Helper()
	want := map[string]string{"app": a.name}
	if revision != "" {
		want[v1alpha1.RevisionLabel] = revision
	}
	if got := a.selector(service); labels.Set(got).String() != labels.Set(want).String() {
		a.t.Errorf("Service %s selects %v, want %v", service, got, want)
	}
}

func (a *app) route(name string) *gatewayv1.HTTPRoute {
	a.t.Helper()
	route := &gatewayv1.HTTPRoute{}
	a.get(name, route)
	return route
}

// traffic returns what the first route carries.
func (a *app) traffic() string {
	a.t.Helper()
	return a.trafficOf(a.name)
}

// trafficOf returns what a route carries: the weights of the pair, and the names of the header rules.
func (a *app) trafficOf(name string) string {
	a.t.Helper()
	var stable, canary int32
	var rules []string
	for _, rule := range a.route(name).Spec.Rules {
		if rule.Name != nil && strings.HasPrefix(string(*rule.Name), "canaryrollout-") {
			rules = append(rules, string(*rule.Name))
			continue
		}
		for _, ref := range rule.BackendRefs {
			switch {
			case len(rule.BackendRefs) == 1 || ref.Weight == nil:
			case string(ref.Name) == a.name+"-stable":
				stable = *ref.Weight
			case string(ref.Name) == a.name+"-canary":
				canary = *ref.Weight
			}
		}
	}
	return fmt.Sprintf("%d/%d %s", stable, canary, strings.Join(rules, ","))
}

// checkTraffic reports an error if the route does not carry these weights, stable before canary, and header rules.
func (a *app) checkTraffic(want string) {
	a.t.Helper()
	if got := strings.TrimSpace(a.traffic()); got != want {
		a.t.Errorf("the route carries %q, want %q", got, want)
	}
}

// waitForTraffic waits until the route carries these weights.
func (a *app) waitForTraffic(want string) {
	a.t.Helper()
	a.within(time.Minute, "the weights "+want, func() (bool, string) {
		got := strings.TrimSpace(a.traffic())
		return got == want, got
	})
}

// userObjects returns the Services and routes of the namespace, byte for byte: a Service in full, and a route except
// its status, which belongs to the gateway, and the resourceVersion that changes with it.
func (a *app) userObjects() string {
	a.t.Helper()
	services, routes := &corev1.ServiceList{}, &gatewayv1.HTTPRouteList{}
	for _, list := range []client.ObjectList{services, routes} {
		if err := env.Admin.List(a.t.Context(), list, client.InNamespace(a.namespace)); err != nil {
			a.t.Fatal(err)
		}
	}
	for i := range routes.Items {
		route := &routes.Items[i]
		route.Status, route.ResourceVersion = gatewayv1.HTTPRouteStatus{}, ""
		route.ManagedFields = slices.DeleteFunc(route.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Subresource == "status"
		})
	}
	encoded, err := json.MarshalIndent([]any{services.Items, routes.Items}, "", " ")
	if err != nil {
		a.t.Fatal(err)
	}
	return string(encoded)
}

// operatorWrites returns the operator's write requests for Services and routes of this namespace, including failed
// ones.
func (a *app) operatorWrites() (writes []string) {
	a.t.Helper()
	events, err := env.Cluster.Audited(func(event *auditv1.Event) bool {
		return event.User.Username == cluster.OperatorUsername && event.ObjectRef != nil && event.ObjectRef.Namespace == a.namespace &&
			(event.ObjectRef.Resource == "services" || event.ObjectRef.Resource == "httproutes") &&
			!slices.Contains([]string{"get", "list", "watch"}, event.Verb)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, event := range events {
		writes = append(writes, event.Verb+" "+event.RequestURI)
	}
	return writes
}

// waitForEvent waits for an Event of this kind and reason whose note contains the text.
func (a *app) waitForEvent(kind, reason, text string) {
	a.t.Helper()
	a.within(patience, kind+" event "+reason+" about "+text, func() (bool, string) {
		found := a.events()
		return slices.ContainsFunc(found, func(event eventsv1.Event) bool {
			return event.Type == kind && event.Reason == reason && strings.Contains(event.Note, text)
		}), notes(found)
	})
}

func (a *app) events() []eventsv1.Event {
	a.t.Helper()
	list := &eventsv1.EventList{}
	if err := env.Admin.List(a.t.Context(), list, client.InNamespace(a.namespace)); err != nil {
		a.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(event eventsv1.Event) bool {
		return event.Regarding.Kind != "CanaryRollout" || event.Regarding.Name != a.name
	})
}

func notes(events []eventsv1.Event) string {
	lines := []string{""}
	for _, event := range events {
		lines = append(lines, fmt.Sprintf("%s %s %s", event.Type, event.Reason, event.Note))
	}
	return strings.Join(lines, "\n")
}

// pods returns the names and UIDs of the pods that a selector matches and that are not terminating.
func (a *app) pods(selector string) map[string]string {
	a.t.Helper()
	parsed, err := labels.Parse(selector)
	if err != nil {
		a.t.Fatal(err)
	}
	list, found := &corev1.PodList{}, map[string]string{}
	if err := env.Admin.List(a.t.Context(), list, client.InNamespace(a.namespace), client.MatchingLabelsSelector{Selector: parsed}); err != nil {
		a.t.Fatal(err)
	}
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			found[pod.Name] = string(pod.UID)
		}
	}
	return found
}

// podsOf returns the pods of a revision.
func (a *app) podsOf(revision string) map[string]string {
	a.t.Helper()
	return a.pods("app=" + a.name + "," + v1alpha1.RevisionLabel + "=" + revision)
}
