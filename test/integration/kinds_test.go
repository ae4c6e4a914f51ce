// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// stream is a route of a kind that the cluster does not serve at first.
const stream = `
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: stream, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  rules: [{backendRefs: [{name: %[2]s-stable, port: 9080}, {name: %[2]s-canary, port: 9080}]}]
`

// TestRouteKindNotServed: a kind that the cluster does not serve is no error until a rollout names it. That rollout
// reports it, writes nothing, and continues when the kind is installed, without a restart. No restart is needed
// either when the watched version is no longer served.
func TestRouteKindNotServed(t *testing.T) {
	if output, err := kubectl(t, "", "delete", "customresourcedefinition", "tcproutes."+gatewayv1.GroupName); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	a := parallel(t) // the operator starts now, or later
	before := a.userObjects()
	rollout := a.make()
	made := rollout.Obj()
	made.Spec.Traffic.Routes = append(made.Spec.Traffic.Routes, v1alpha1.RouteReference{Kind: "TCPRoute", Name: "stream"})
	a.create(made)
	a.wrote(made)
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteKindNotServed, message: "the cluster serves no TCPRoute: install the Gateway API with it"})
	a.waitFor("ready pods", func(r *v1alpha1.CanaryRollout) bool { return r.Status.Ready == "2/2" })
	checkConditions(t, a.barrier(), inFlight("Initializing").with(
		"Available", "False Initializing", "TrafficRouted", "False "+v1alpha1.ReasonRouteKindNotServed))
	a.checkUntouched(before)
	serve(t, "v1alpha2")
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteNotFound, message: "TCPRoute stream does not exist: create it"})
	a.apply(stream)
	a.waitFor("the gateway that does not know the kind", func(r *v1alpha1.CanaryRollout) bool {
		return strings.Contains(r.Status.Message, "TCPRoute stream is not verified: Gateway default/http-gateway has not reported ")
	})
	// The watched version is removed, and the kind remains in another version. Changes there are noticed.
	serve(t, "v1")
	eventually(t, "the manager to watch TCPRoutes in version v1", func(context.Context) (bool, error) {
		log, err := os.ReadFile(env.Operator.Log)
		return strings.Contains(string(log), `"kind":"TCPRoute","version":"v1"`), err
	})
	mustKubectl(t, "", "delete", "tcproutes.v1."+gatewayv1.GroupName, "stream", "-n", a.namespace)
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteNotFound, message: "TCPRoute stream does not exist: create it"})
	a.patch(`{"spec":{"traffic":{"routes":[{"kind":"HTTPRoute","name":%q}]}}}`, a.name)
	a.waitForState(v1alpha1.StateHealthy)
}

// serve installs the CRD of TCPRoutes with only this version served.
func serve(t *testing.T, version string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(gatewayAPI(t), gatewayv1.GroupName+"_tcproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensions.CustomResourceDefinition{}
	if err := yaml.Unmarshal(content, crd); err != nil {
		t.Fatal(err)
	}
	for i := range crd.Spec.Versions {
		crd.Spec.Versions[i].Served = crd.Spec.Versions[i].Name == version
	}
	if content, err = yaml.Marshal(crd); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), env.Cluster.RESTConfig(cluster.Admin), content); err != nil {
		t.Fatal(err)
	}
	eventually(t, "serve TCPRoutes in version "+version, func(context.Context) (bool, error) {
		_, err := kubectl(t, "", "get", "tcproutes."+version+"."+gatewayv1.GroupName, "-A")
		return err == nil, nil
	})
}

// gatewayAPI returns the folder of the CRDs of the standard channel.
func gatewayAPI(t *testing.T) string {
	t.Helper()
	module, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "standard")
}

// TestMissingGatewayAPI: a manager that starts in a cluster without the Gateway API, and without CanaryMetrics, works: its
// rollouts report what they wait for, and can be deleted. It discovers the Gateway API when that is installed, without a
// restart.
func TestMissingGatewayAPI(t *testing.T) {
	crd, file := "httproutes."+gatewayv1.GroupName, filepath.Join(gatewayAPI(t), gatewayv1.GroupName+"_httproutes.yaml")
	mustKubectl(t, "", "delete", "customresourcedefinition", crd)
	install := func(ctx context.Context) error {
		admin := env.Cluster.RESTConfig(cluster.Admin)
		if err := cluster.ApplyFiles(ctx, admin, file); err != nil {
			return err
		}
		return cluster.WaitForCRDs(ctx, admin, crd)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(install(ctx), operator.Install(ctx, env.Cluster)); err != nil {
			t.Error(err)
		}
	})
	if err := operator.Install(t.Context(), env.Cluster); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "", "delete", "customresourcedefinition", "canarymetrics."+v1alpha1.GroupVersion.Group)
	alone, err := operator.Start(t.Context(), env.Cluster, operator.Options{Name: "without-gateway-api"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := alone.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, missing := range []string{"HTTPRoutes cannot be watched yet", "CanaryMetrics cannot be watched yet"} {
		if log, err := os.ReadFile(alone.Log); err != nil || !strings.Contains(string(log), missing) {
			t.Errorf("the log does not say what is missing: %v\n%s", err, log)
		}
	}

	a := newAppOf(t, builder.Services)
	a.deploy(a.make())
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteKindNotServed, message: "the cluster serves no HTTPRoute: install the Gateway API with it"})
	mustKubectl(t, "", "delete", "canaryrollout", a.name, "-n", a.namespace, "--timeout=30s")

	a.deploy(a.make())
	a.waitForProblem(problem{reason: v1alpha1.ReasonRouteKindNotServed, message: "the cluster serves no HTTPRoute"})
	if err := install(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.apply(userRoute)
	a.patch(`{"spec":{"revisionHistoryLimit":3}}`) // reconciles at once; TestRouteKindNotServed waits for the retry
	a.waitForState(v1alpha1.StateHealthy)
}
