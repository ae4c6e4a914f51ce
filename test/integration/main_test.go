// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration tests what is installed, config/ and its CRD, against a real API server and its controllers.
// Tests that are not parallel run first, without our own controller; the parallel ones follow, and start it.
package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/admission"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

const (
	crdFile        = "../../config/crd/canaryrollout.dev_canaryrollouts.yaml"
	metricsCRDFile = "../../config/crd/canaryrollout.dev_canarymetrics.yaml"
	namespace      = "default"
)

// env is one cluster for all tests of this package. Each test uses objects with its own names.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{
		Bare: true, Cluster: cluster.Options{ManifestPaths: append([]string{crdFile, metricsCRDFile}, policies...)},
		Setup: func(ctx context.Context) error {
			if err := cluster.WaitForCRDs(ctx, env.Cluster.RESTConfig(cluster.Admin), "canaryrollouts.canaryrollout.dev", "canarymetrics.canaryrollout.dev"); err != nil {
				return err
			}
			return env.WaitForPolicies(ctx)
		},
		Parallel: 4, // with more, repairs and the gateway wait for a processor, and not for each other
	})
}

// kubectl runs kubectl as an administrator, and returns its output.
func kubectl(t *testing.T, stdin string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kubectl", args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(cluster.Admin))
	command.Stdin = strings.NewReader(stdin)
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	err = command.Run()
	return both.String(), err
}

// mustKubectl is kubectl that must succeed.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	output, err := kubectl(t, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// named returns the CanaryRollout of the bookinfo sample under another name.
func named(t *testing.T, name string) map[string]any {
	t.Helper()
	object := sample.Object(t)
	metadata := object["metadata"].(map[string]any)
	metadata["name"], metadata["namespace"] = name, namespace
	return object
}

// edit applies admission.Edit in a test.
func edit(t *testing.T, object map[string]any, edits string) map[string]any {
	t.Helper()
	if err := admission.Edit(object, edits); err != nil {
		t.Fatal(err)
	}
	return object
}
