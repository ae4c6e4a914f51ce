// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// TestOlderCRD: an upgrade that leaves the CustomResourceDefinition behind would silently lose parts of the memory.
// The API server refuses such a status instead, an Event says what to do, nothing is created or moved, and no restart
// is needed afterwards. The test is not parallel because the others need the CustomResourceDefinition.
func TestOlderCRD(t *testing.T) {
	if err := operator.Install(t.Context(), env.Cluster); err != nil {
		t.Fatal(err)
	}
	version := swapMemoryVersion(t, nil)
	a := newApp(t)
	a.within(patience, "the older CustomResourceDefinition", func() (bool, string) {
		output, err := kubectl(t, "", "explain", "canaryrollout.status.memory.version")
		return err != nil, output
	})
	running, err := operator.Start(t.Context(), env.Cluster, operator.Options{Name: "newer-manager"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Stop(); err != nil {
			t.Error(err)
		}
	})
	const want = "The installed CustomResourceDefinition is older than this manager"
	if log, err := os.ReadFile(running.Log); err != nil || !strings.Contains(string(log), want) {
		t.Errorf("the log does not say %q (%v)", want, err)
	}
	a.deploy(a.make())
	a.waitForEvent("Warning", v1alpha1.ReasonReconcileError, "if the installed CustomResourceDefinition is older than the operator, update it")
	a.checkTraffic("1/1")
	if memory, pods := a.rollout().Status.Memory, a.pods("app=reviews"); memory != nil || len(pods) > 0 {
		t.Errorf("memory %v, pods %v", memory, pods)
	}
	swapMemoryVersion(t, version)
	a.waitForState(v1alpha1.StateHealthy)
}

// swapMemoryVersion replaces the schema of status.memory.version, or removes it, and returns the previous one.
func swapMemoryVersion(t *testing.T, schema any) (before any) {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: "canaryrollouts.canaryrollout.dev"}, crd); err != nil {
		t.Fatal(err)
	}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil || len(versions) == 0 {
		t.Fatalf("no versions: %v", err)
	}
	fields := versions[0].(map[string]any)
	for _, name := range []string{"schema", "openAPIV3Schema", "properties", "status", "properties", "memory", "properties"} {
		below, isMap := fields[name].(map[string]any)
		if !isMap {
			t.Fatalf("the CustomResourceDefinition has no %s", name)
		}
		fields = below
	}
	before = fields["version"]
	if fields["version"] = schema; schema == nil {
		delete(fields, "version")
	}
	if err := errors.Join(unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"), env.Admin.Update(t.Context(), crd)); err != nil {
		t.Fatal(err)
	}
	return before
}
