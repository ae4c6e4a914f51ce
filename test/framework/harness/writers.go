// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// This file covers what users and tools write into the app's route and Services, and what the audit log records of
// it.

// Declared returns an object as it is in a user's Git repository.
func Declared(object *unstructured.Unstructured) *unstructured.Unstructured {
	bare := &unstructured.Unstructured{Object: map[string]any{"spec": object.DeepCopy().Object["spec"]}}
	bare.SetGroupVersionKind(object.GroupVersionKind())
	bare.SetNamespace(object.GetNamespace())
	bare.SetName(object.GetName())
	return bare
}

// usersRules returns the rules of a route that do not belong to the controller.
func usersRules(rules []any) []any {
	return slices.DeleteFunc(slices.Clone(rules), func(rule any) bool {
		name, _ := rule.(map[string]any)["name"].(string)
		return strings.HasPrefix(name, "canaryrollout-")
	})
}

// GitRoute returns the user's route with these weights for stable and canary.
func (a *App) GitRoute(stable, canary int64) *unstructured.Unstructured {
	a.t.Helper()
	route := Declared(a.Route())
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	rules = usersRules(rules)
	weights := map[string]int64{"reviews-stable": stable, "reviews-canary": canary}
	for _, item := range rules {
		rule := item.(map[string]any)
		dropMirrors(rule)
		backends, _ := rule["backendRefs"].([]any)
		for _, backend := range backends {
			if ref := backend.(map[string]any); len(backends) > 1 {
				ref["weight"] = weights[ref["name"].(string)]
			}
		}
	}
	_ = unstructured.SetNestedSlice(route.Object, rules, "spec", "rules")
	return route
}

// GitService returns one of the user's two Services.
func (a *App) GitService(name string) *unstructured.Unstructured {
	service := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"selector": map[string]any{"app": "reviews"},
		"ports":    []any{map[string]any{"name": "http", "port": int64(9080)}},
	}}}
	service.SetAPIVersion("v1")
	service.SetKind("Service")
	service.SetNamespace(a.Namespace)
	service.SetName(name)
	return service
}

// Carried summarizes a route as "stable/canary" weights and the names of the header rules.
func Carried(route *unstructured.Unstructured) string {
	var text []string
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, rule := range rules {
		name, _ := rule.(map[string]any)["name"].(string)
		if backends := rule.(map[string]any)["backendRefs"].([]any); len(backends) > 1 {
			weights := map[any]any{}
			for _, backend := range backends {
				weights[backend.(map[string]any)["name"]] = backend.(map[string]any)["weight"]
			}
			text = append(text, fmt.Sprintf("%v/%v", weights["reviews-stable"], weights["reviews-canary"]))
		} else if name != "" {
			text = append(text, name)
		}
	}
	return strings.Join(text, " ")
}

// Apply uses forced server-side apply, as GitOps tools do.
func (a *App) Apply(manager string, object *unstructured.Unstructured) {
	a.t.Helper()
	applied := client.ApplyConfigurationFromUnstructured(object.DeepCopy())
	if err := a.env.Admin.Apply(a.t.Context(), applied, client.FieldOwner(manager), client.ForceOwnership); err != nil {
		a.t.Fatal(err)
	}
}

// Merge sends a merge patch of the spec, as client-side kubectl apply does.
func (a *App) Merge(manager string, object *unstructured.Unstructured, spec any) {
	a.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		a.t.Fatal(err)
	}
	merge := client.RawPatch("application/merge-patch+json", patch)
	if err := a.env.Admin.Patch(a.t.Context(), object.DeepCopy(), merge, client.FieldOwner(manager)); err != nil {
		a.t.Fatal(err)
	}
}

// EditRoute changes the user's own rules as kubectl edit does. From now on they must stay like that.
func (a *App) EditRoute(edit func(rules []any)) {
	a.t.Helper()
	var route *unstructured.Unstructured
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		route = a.Route()
		edit(usersRules(route.Object["spec"].(map[string]any)["rules"].([]any)))
		return a.env.Admin.Update(a.t.Context(), route, client.FieldOwner("kubectl-edit"))
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.userRoute = a.usersPart(route)
}

// Audited returns the successful requests for the app's namespace since from that are in the audit log, sorted by
// when they were answered.
func (a *App) Audited(from time.Time) []auditv1.Event {
	a.t.Helper()
	events, err := a.env.Cluster.Audited(func(event *auditv1.Event) bool {
		return event.ObjectRef != nil && event.ObjectRef.Namespace == a.Namespace && event.ResponseStatus != nil &&
			event.ResponseStatus.Code < 300 && event.RequestReceivedTimestamp.After(from)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	slices.SortStableFunc(events, func(x, y auditv1.Event) int { return x.StageTimestamp.Compare(y.StageTimestamp.Time) })
	return events
}

// IsWrite reports whether the event is a write of a user to an object of this resource.
func IsWrite(event auditv1.Event, user, resource string) bool {
	return event.User.Username == user && event.ObjectRef.Resource == resource && event.ObjectRef.Subresource == "" &&
		(event.Verb == "patch" || event.Verb == "update")
}
