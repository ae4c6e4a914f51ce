// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package helm runs the helm command on the chart of this repository, config/chart.
package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// binaryVariable holds the path of helm, for a program that has no network.
const binaryVariable = "CANARYROLLOUT_HELM"

// Build builds helm if the user's cache folder does not have it yet, which takes some minutes. Call it before
// cluster.Isolate.
func Build(progress io.Writer) error {
	if Binary() != "" {
		return nil
	}
	command := exec.Command(repository.Path("hack", "tool.sh"), "helm", "helm.sh/helm/v4/cmd/helm")
	command.Stderr = progress
	path, err := command.Output()
	if err != nil {
		return fmt.Errorf("build helm: %w", err)
	}
	return os.Setenv(binaryVariable, strings.TrimSpace(string(path)))
}

// Binary returns the path of helm, once it is built.
func Binary() string { return os.Getenv(binaryVariable) }

// Chart returns the folder of the chart.
func Chart() string { return repository.Path("config", "chart") }

// Client runs helm.
type Client struct {
	// Home is an empty folder for helm's files: the user's own files are neither read nor changed.
	Home string
	// Kubeconfig is the path of the cluster's kubeconfig. Commands that need no cluster work without it.
	Kubeconfig string
}

// Run runs a helm command and returns its output. An error includes helm's message.
func (c Client) Run(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, Binary(), args...)
	command.Env = c.environment()
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		return output.String(), fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, &output, &complaint)
	}
	return output.String(), nil
}

func (c Client) environment() []string {
	var environment []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HELM_") && !strings.HasPrefix(variable, "KUBE") {
			environment = append(environment, variable)
		}
	}
	kubeconfig := c.Kubeconfig
	if kubeconfig == "" {
		kubeconfig = filepath.Join(c.Home, "no-kubeconfig")
	}
	return append(environment, "KUBECONFIG="+kubeconfig, "KUBECACHEDIR="+c.Home,
		"HELM_CACHE_HOME="+c.Home, "HELM_CONFIG_HOME="+c.Home, "HELM_DATA_HOME="+c.Home)
}

// Decode returns the objects of YAML documents.
func Decode(manifest string) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 { // a document may consist of comments
			objects = append(objects, object)
		}
	}
}
