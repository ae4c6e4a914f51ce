// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the manager of this repository against a test cluster: as a separate process, with exactly the
// service account and roles of config/, and with leader election.
package operator

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// binaryVariable holds the path of the manager, for the program inside the cluster's namespaces.
const binaryVariable = "CANARYROLLOUT_MANAGER"

// Build builds the manager, with or without the race detector. Call it before cluster.Isolate.
func Build(progress io.Writer, race bool) error {
	return repository.Build(progress, binaryVariable, "cmd/manager", race)
}

// Manifests returns config/default of a checkout of the repository, as YAML.
func Manifests(ctx context.Context, checkout string) ([]byte, error) {
	command := exec.CommandContext(ctx, "kubectl", "kustomize", filepath.Join(checkout, "config", "default"))
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("kubectl kustomize config/default: %w", err)
	}
	return output, nil
}

// Install installs config/default as InstallManifests does.
func Install(ctx context.Context, c *cluster.Cluster) error {
	manifests, err := Manifests(ctx, repository.Path())
	if err != nil {
		return err
	}
	return InstallManifests(ctx, c, manifests)
}

// InstallManifests applies what Manifests returned, without the Deployment, because the manager runs as a process.
func InstallManifests(ctx context.Context, c *cluster.Cluster, manifests []byte) error {
	var applied [][]byte
	var crds []string
	for document := range bytes.SplitSeq(manifests, []byte("\n---\n")) {
		object := metav1.PartialObjectMetadata{}
		if err := yaml.Unmarshal(document, &object); err != nil {
			return fmt.Errorf("read config/default: %w", err)
		}
		switch object.Kind {
		case "Deployment":
			continue
		case "CustomResourceDefinition":
			crds = append(crds, object.Name)
		}
		applied = append(applied, document)
	}
	admin := c.RESTConfig(cluster.Admin)
	if err := cluster.Apply(ctx, admin, applied...); err != nil {
		return fmt.Errorf("install config/default: %w", err)
	}
	return cluster.WaitForCRDs(ctx, admin, crds...)
}

// Operator is a running manager.
type Operator struct {
	// Log is the path of its log.
	Log string

	command *exec.Cmd
	done    chan struct{}
	err     error
}

// Options configures a manager.
type Options struct {
	// Name is the name of the log file, without its extension. Default: operator.
	Name string
	// ProbePort and MetricsPort are on 127.0.0.1. Defaults: 8081 and 8443.
	ProbePort, MetricsPort int
	// Args are added to the flags, and override them.
	Args []string
	// Pod is the name of the pod that the manager runs in. Managers of the same pod hold the lease by the same name, as a
	// container that restarts does, and must not run at the same time. Default: none.
	Pod string
	// Kubeconfig is the path of the manager's kubeconfig. Default: that of cluster.Operator.
	Kubeconfig string
	// DetectsMutations makes the manager panic if something changes an object in its caches, which hand out objects without a copy.
	DetectsMutations bool
	// Binary is the path of another build than that of Build, which may be older. It only gets flags that all builds have.
	Binary string
}

// ChecksAddress is where a test can serve JSON documents to the metric provider "checks".
const ChecksAddress = "127.0.0.1:9091"

// Start starts the manager and returns when it is ready. It runs until Stop or Kill. If the cluster has a Prometheus, it is the
// manager's default metric provider, and there is a web provider: see [ChecksAddress].
func Start(ctx context.Context, c *cluster.Cluster, options Options) (*Operator, error) {
	options = defaulted(options)
	args := []string{
		"--leader-election-namespace=canaryrollout-system",
		fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", options.ProbePort),
		fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", options.MetricsPort),
	}
	if options.Binary == "" {
		args = append(args, "--shared-metrics-namespace=canaryrollout-system")
	}
	if c.Process(cluster.Prometheus) != nil {
		file, err := writeProviders(c.Dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "--metric-providers="+file)
	}
	args = append(args, options.Args...)
	o := &Operator{Log: filepath.Join(c.Dir, options.Name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	o.command = exec.Command(cmp.Or(options.Binary, os.Getenv(binaryVariable)), args...)
	o.command.Env = append(os.Environ(), "KUBECONFIG="+cmp.Or(options.Kubeconfig, c.Kubeconfig(cluster.Operator)), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	if options.DetectsMutations {
		o.command.Env = append(o.command.Env, "KUBE_CACHE_MUTATION_DETECTOR=true")
	}
	if options.Pod != "" {
		o.command.Env = append(o.command.Env, "POD_NAME="+options.Pod, "POD_UID=uid-of-"+options.Pod)
	}
	o.command.Stdout, o.command.Stderr = log, log
	if err := o.command.Start(); err != nil {
		return nil, fmt.Errorf("start the manager: %w", err)
	}
	go func() {
		o.err = o.command.Wait()
		_ = log.Close()
		close(o.done)
	}()
	return o, o.waitReady(ctx, options.ProbePort)
}

// writeProviders writes the file that names the metric providers. Scrapes of the test cluster are stored within half a second.
func writeProviders(dir string) (file string, err error) {
	file = filepath.Join(dir, "metric-providers.yaml")
	return file, os.WriteFile(file, fmt.Appendf(nil, `- name: default
  prometheus: {url: "http://%s", scrapeInterval: %s, delay: 500ms}
- name: checks
  web: {url: "http://%s"}
`, cluster.PrometheusAddress, cluster.ScrapeInterval, ChecksAddress), 0o600)
}

func defaulted(options Options) Options {
	if options.Name == "" {
		options.Name = "operator"
	}
	if options.ProbePort == 0 {
		options.ProbePort = 8081
	}
	if options.MetricsPort == 0 {
		options.MetricsPort = 8443
	}
	return options
}

func (o *Operator) waitReady(ctx context.Context, port int) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/readyz", port)
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		select {
		case <-o.done:
			return false, fmt.Errorf("the manager has exited: %w", o.err)
		default:
		}
		response, err := http.Get(url)
		if err != nil {
			return false, nil //nolint:nilerr // not listening yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
	if err != nil {
		return fmt.Errorf("the manager is not ready, see %s: %w", o.Log, err)
	}
	return nil
}

// PID returns the manager's process ID.
func (o *Operator) PID() int { return o.command.Process.Pid }

// Done returns a channel that is closed when the manager has exited.
func (o *Operator) Done() <-chan struct{} { return o.done }

// Stop terminates the manager as a kubelet does. It returns an error if the manager failed, for example because of a data
// race.
func (o *Operator) Stop() error {
	_ = o.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.done:
	case <-time.After(30 * time.Second):
		_ = o.command.Process.Kill()
		<-o.done
		return errors.New("the manager did not exit within 30 s of SIGTERM")
	}
	if o.err != nil {
		return fmt.Errorf("the manager failed, see %s: %w", o.Log, o.err)
	}
	return nil
}

// Crashed returns an error if the log has a data race or a panic, of this manager or of an earlier one with the same log.
func (o *Operator) Crashed() error {
	log, err := os.ReadFile(o.Log)
	if err != nil {
		return err
	}
	for _, sign := range []string{"\nWARNING: DATA RACE\n", "\npanic: "} {
		if at := bytes.Index(log, []byte(sign)); at >= 0 {
			return fmt.Errorf("the manager crashed, see %s:%s", o.Log, log[at:min(at+2000, len(log))])
		}
	}
	return nil
}

// Kill kills the manager, like a crash.
func (o *Operator) Kill() {
	_ = o.command.Process.Kill()
	<-o.done
}
