// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration tests what is installed, config/ and its CRD, against a real API server and its controllers.
// Tests that are not parallel run first, without our own controller; the parallel ones follow, and start it.
package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/admission"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

const (
	crdFile    = "../../config/crd/canaryrollout.dev_canaryrollouts.yaml"
	sampleFile = "../../config/samples/reviews/canaryrollout.yaml"
	namespace  = "default"
)

// One cluster for all tests of this package. Each test uses objects with its own names.
var (
	up    *cluster.Cluster
	admin client.WithWatch
)

func TestMain(m *testing.M) {
	if err := operator.Build(os.Stderr, true); err != nil {
		fmt.Println("FAIL: building the operator:", err)
		os.Exit(1)
	}
	cluster.Isolate()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx := context.Background()
	var err error
	if up, err = cluster.Start(ctx, cluster.Options{ManifestPaths: append([]string{crdFile}, policies...)}); err != nil {
		fmt.Println("FAIL: starting the cluster:", err)
		return 1
	}
	defer func() {
		if err := up.Cleanup(code != 0); err != nil {
			fmt.Println("FAIL: stopping the cluster:", err)
			code = 1
		}
	}()
	if err := cluster.WaitForCRDs(ctx, up.RESTConfig(cluster.Admin), "canaryrollouts.canaryrollout.dev"); err != nil {
		fmt.Println("FAIL: the CRD:", err)
		return 1
	}
	if admin, err = newClient(up.RESTConfig(cluster.Admin)); err != nil {
		fmt.Println("FAIL: making a client:", err)
		return 1
	}
	// The tests mostly wait, so two cores can run four of them. Flags of the command line override this.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Println("FAIL:", err)
		return 1
	}
	code = m.Run()
	if err := manager.stop(); err != nil {
		fmt.Println("FAIL: stopping the operator:", err)
		code = 1
	}
	return code
}

func newClient(config *rest.Config) (client.WithWatch, error) {
	// Warnings of the API server would drown the output of the tests.
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		return nil, err
	}
	return c, errors.Join(v1alpha1.AddToScheme(c.Scheme()), gatewayv1.Install(c.Scheme()))
}

// kubectl runs kubectl as an administrator, and returns its output.
func kubectl(t *testing.T, stdin string, args ...string) (output string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "kubectl", args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+up.Kubeconfig(cluster.Admin))
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

// sample returns the CanaryRollout of config/samples/reviews under another name.
func sample(t *testing.T, name string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
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
