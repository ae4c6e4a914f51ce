// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/apply"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/route"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// oldCRD is an HTTPRoute before rules had names, and mirrors had fractions.
const oldCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: httproutes.old.example.test}
spec:
  group: old.example.test
  scope: Namespaced
  names: {kind: HTTPRoute, listKind: HTTPRouteList, plural: httproutes, singular: httproute}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              rules:
                type: array
                items:
                  type: object
                  properties:
                    backendRefs:
                      type: array
                      items: {type: object, properties: {name: {type: string}, port: {type: integer}, weight: {type: integer}}}
                    filters:
                      type: array
                      items:
                        type: object
                        properties:
                          type: {type: string}
                          requestMirror: {type: object, properties: {backendRef: {type: object, properties: {group: {type: string}, kind: {type: string}, name: {type: string}, port: {type: integer}}}}}
`

// TestOldSchema verifies, with a real API server and the manager's own rights, that fields missing in the served
// schema are detected, and that the API server refuses a write with such a field. Otherwise it would drop the
// fraction of a mirror, and the canary would get a copy of every request.
func TestOldSchema(t *testing.T) {
	mustKubectl(t, oldCRD, "apply", "-f", "-")
	t.Cleanup(func() { _, _ = kubectl(t, "", "delete", "crd", "httproutes.old.example.test") })
	if err := cluster.WaitForCRDs(t.Context(), env.Cluster.RESTConfig(cluster.Admin), "httproutes.old.example.test"); err != nil {
		t.Fatal(err)
	}
	discover, err := discovery.NewDiscoveryClientForConfig(env.Cluster.RESTConfig(cluster.Operator))
	if err != nil {
		t.Fatal(err)
	}
	old := schema.GroupVersionKind{Group: "old.example.test", Version: "v1", Kind: "HTTPRoute"}
	for kind, want := range map[schema.GroupVersionKind]route.Missing{
		old:                   {RuleNames: true, MirrorFraction: true},
		observe.HTTPRouteKind: {},
		observe.HTTPRouteKind.GroupVersion().WithKind("GRPCRoute"): {},
	} {
		// The API server publishes the schema of a CRD shortly after it starts serving it.
		eventually(t, "the schema of "+kind.String(), func(ctx context.Context) (bool, error) {
			return observe.NewSchemas(discover.OpenAPIV3WithContext(ctx)).Missing(ctx, kind) == want, nil
		})
	}

	object := observe.New(old)
	object.SetNamespace(namespace)
	object.SetName("old-schema")
	refs := []any{map[string]any{"name": "old-stable", "port": int64(80)}, map[string]any{"name": "old-canary", "port": int64(80)}}
	if err := unstructured.SetNestedSlice(object.Object, []any{map[string]any{"backendRefs": refs}}, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	if err := env.Admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	rollout := &observe.Rollout{}
	rollout.Namespace, rollout.Name = namespace, "old"
	rollout.Spec.Traffic = v1alpha1.Traffic{StableService: "old-stable", CanaryService: "old-canary"}
	snap := &observe.Snapshot{
		Rollout: rollout,
		Routes:  map[observe.Object]*unstructured.Unstructured{{Kind: old, Name: "old-schema"}: object},
		Pairs:   map[observe.Object]route.Pair{{Kind: old, Name: "old-schema"}: {Namespace: namespace, Stable: "old-stable", Canary: "old-canary"}},
	}
	applier := apply.Applier{Writer: env.Admin}
	_, err = applier.Apply(t.Context(), snap, []plan.Action{plan.SetTraffic{Kind: "HTTPRoute", Name: "old-schema", Traffic: plan.Traffic{Mirror: 10}}})
	if err == nil || !observe.IsRefusal(err) || !strings.Contains(err.Error(), "requestMirror.fraction") {
		t.Errorf("a mirror whose fraction would be dropped: %v, want a refusal", err)
	}
	version := object.GetResourceVersion()
	if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil || object.GetResourceVersion() != version {
		t.Errorf("the route was written: %v, %v", object.Object["spec"], err)
	}
}
