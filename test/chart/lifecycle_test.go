// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// inMidCanary returns an app with 30 % of its requests on version 2, paused until promoted.
func inMidCanary(t *testing.T) (a *harness.App, stable string) {
	t.Helper()
	a = harness.New(t, env, builder.Weight(30), builder.Hold())
	stable = a.Stable()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("2/2")
	a.Answers(harness.Rate)
	return a, stable
}

// picture describes everything that a rollout manages: its objects, its status, and how often its route was written.
func picture(t *testing.T, a *harness.App) string {
	t.Helper()
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "bookinfo-reviews"}, route); err != nil {
		t.Fatal(err)
	}
	rollout := a.Get()
	status, err := json.MarshalIndent(rollout.Status, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s\nroute: generation %d\nrollout: finalizers %v\n%s", a.Describe(), route.GetGeneration(), rollout.Finalizers, status)
}

func checkUnchanged(t *testing.T, a *harness.App, before string) {
	t.Helper()
	if diff := cmp.Diff(before, picture(t, a)); diff != "" {
		t.Errorf("something has changed (-was +is):\n%s", diff)
	}
	a.CheckNoLoss()
}

// finish promotes the paused canary: the current leader must be able to.
func finish(t *testing.T, a *harness.App, stable string) {
	t.Helper()
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(stable)
	a.CheckLoss()
}

// TestUpgradeInMidCanary upgrades the release from a chart with an older CRD and other flags: no traffic moves, no
// revision starts, and the canary continues where it was.
func TestUpgradeInMidCanary(t *testing.T) {
	r := install(t, olderChart(t))
	if got := shortNames(t); got != "" {
		t.Fatalf("the older CRD has the short names %s", got)
	}
	r.start()
	a, stable := inMidCanary(t)
	before, leader := picture(t, a), leaderOf(t)

	r.upgrade("--set=replicas=3", "--set=log.level=debug", `--set-json=extraArgs=["--max-concurrent-reconciles=3"]`)
	r.stop()
	r.start()
	a.Eventually("another leader", func() (bool, string) {
		now := leaderOf(t)
		return now != "" && now != leader, now
	})
	a.Answers(2 * harness.Rate)
	checkUnchanged(t, a, before)
	if got := shortNames(t); got != `["cro"]` {
		t.Errorf("the upgrade left the older CRD: its short names are %s", got)
	}
	finish(t, a, stable)
}

// olderChart returns a copy of the chart that looks like an earlier version: its CRD has no short name.
func olderChart(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "canaryrollout")
	if err := os.CopyFS(folder, os.DirFS(helm.Chart())); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "files", "crd", "canaryrollout.dev_canaryrollouts.yaml"), "    shortNames:\n    - cro\n", "")
	replace(t, filepath.Join(folder, "Chart.yaml"), "\nversion: ", "\nversion: 0.0.1 # ")
	return folder
}

func replace(t *testing.T, file, old, with string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), old, with, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func shortNames(t *testing.T) string {
	t.Helper()
	return kubectl(t, "get", "crd", crd, "-o=jsonpath={.spec.names.shortNames}")
}

// leaderOf returns the holder of the manager's lease; empty after it was released.
func leaderOf(t *testing.T) string {
	t.Helper()
	held := &coordinationv1.Lease{}
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: lease}, held); err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(held.Spec.HolderIdentity, "")
}

// TestUninstallInMidCanary: without the release everything stays as it is, including the rollout with its finalizer. When
// the chart is installed again, the canary continues where it was.
func TestUninstallInMidCanary(t *testing.T) {
	r := install(t, helm.Chart())
	r.start()
	a, stable := inMidCanary(t)
	before := picture(t, a)

	output := r.uninstall()
	r.stop()
	if !strings.Contains(output, crd) {
		t.Errorf("helm does not say that it keeps the CRD:\n%s", output)
	}
	a.Answers(2 * harness.Rate)
	checkUnchanged(t, a, before)

	r.takeLease()
	r.install(helm.Chart())
	r.start()
	finish(t, a, stable)
}

// TestRemoveAll: in the documented order nothing hangs, and with --cascade=orphan the stable pods keep serving.
func TestRemoveAll(t *testing.T) {
	r := install(t, helm.Chart())
	r.start()
	a, stable := inMidCanary(t)
	canary := a.Get().Status.Canary.Revision

	kubectl(t, "delete", "canaryrollouts", "-A", "--all", "--wait", "--cascade=orphan", "--timeout=90s")
	gone := time.Now()
	r.uninstall()
	r.stop()
	r.takeLease()
	kubectl(t, "delete", "crd", crd, "--timeout=30s")
	a.Answers(2 * harness.Rate)
	a.CheckNever(canary, gone, time.Now())
	if a.Available(stable) == 0 {
		t.Error("no stable pod is left")
	}
	a.CheckLoss()
}
