// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
)

//go:embed assets
var embedded embed.FS

// Options configures a cluster. The zero value is a good default.
type Options struct {
	// Dir is the folder for logs, data and kubeconfigs. Default: a new folder below os.TempDir.
	Dir string
	// Gateway serves the routes. Default: [TraefikGateway]. With [NoGateway] there is no Gateway either.
	Gateway Gateway
	// Throttle is the minimum time between two configurations of Traefik. Default: 200 ms.
	Throttle time.Duration
	// Streams makes Traefik also serve TLS and TCP, by TLSRoutes and TCPRoutes: see [StreamGatewayName]. It uses
	// the experimental channel of the Gateway API, because Traefik only supports v1alpha2 of these kinds.
	Streams bool
	// Prometheus runs Prometheus, which scrapes the metrics of the gateway and of the manager every [ScrapeInterval]. Without
	// it, the gateway has none.
	Prometheus bool
	// LateEndpoints runs the EndpointSlice controller in its own process, so that it can be paused.
	LateEndpoints bool
	// Manifests are applied by [Apply] once the API server is ready: YAML documents, and paths of files or folders.
	Manifests     [][]byte
	ManifestPaths []string
	// AuditEveryone logs the requests of all users, not only of the operator. It makes each request a little slower.
	AuditEveryone bool
	// Timeout limits how long a start may take. Default: two minutes.
	Timeout time.Duration
}

// A Cluster runs from [Start] to [Cluster.Stop].
type Cluster struct {
	// Dir contains one log file per process ("traefik.log"), and audit.log. Print it when a test fails.
	Dir string

	options     Options
	assets      *assets
	credentials *credentials
	processes   []*Process // in start order
	builtin     *fakegateway.Gateway

	mu     sync.Mutex
	deaths []error
	cancel context.CancelCauseFunc // cancels the start when a process dies
}

// Start returns a cluster that is ready: its API answers, its node is Ready and its Gateway is programmed. The
// program must be isolated (see [Isolate]), and can have only one cluster at a time because ports are fixed. An error
// quotes the log of the process that died; Dir is kept in that case.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	if options.Timeout == 0 {
		options.Timeout = 2 * time.Minute
	}
	if options.Throttle == 0 {
		options.Throttle = 200 * time.Millisecond
	}
	options.Gateway = cmp.Or(options.Gateway, TraefikGateway)
	ctx, stop := context.WithTimeout(ctx, options.Timeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &Cluster{options: options, cancel: cancel}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("preparing the cluster: %w", err)
	}
	if err := c.up(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the cluster in %s: %w", c.Dir, c.explain(err)), c.stopAll())
	}
	return c, nil
}

// prepare writes the files that the processes read.
func (c *Cluster) prepare() (err error) {
	if c.assets, err = insideAssets(); err != nil {
		return err
	}
	if err := c.checkOptions(); err != nil {
		return err
	}
	if c.Dir, err = makeDir(c.options.Dir); err != nil {
		return err
	}
	ca, err := c.writeKeys()
	if err != nil {
		return err
	}
	if c.credentials, err = newCredentials(c.Dir, ca); err != nil {
		return err
	}
	policy := "audit-operator.yaml"
	if c.options.AuditEveryone {
		policy = "audit-everyone.yaml"
	}
	if err := errors.Join(c.write("audit-policy.yaml", asset(policy)), c.write("stages.yaml", asset("stages.yaml"))); err != nil {
		return err
	}
	if c.options.Prometheus {
		if err := c.write(prometheusConfig, prometheusYAML(c.credentials.tokens[Admin])); err != nil {
			return err
		}
	}
	c.processes = c.components()
	return nil
}

func makeDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "canaryrollout-cluster-")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// writeKeys makes the API server's certificate and the key that signs service account tokens.
func (c *Cluster) writeKeys() (ca []byte, err error) {
	ca, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, []string{"localhost", "kubernetes.default.svc"})
	if err != nil {
		return nil, err
	}
	signer, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, err
	}
	return ca, errors.Join(c.write("tls.crt", ca), c.write("tls.key", key), c.write("sa.key", signer))
}

func (c *Cluster) write(name string, content []byte) error {
	return os.WriteFile(filepath.Join(c.Dir, name), content, 0o600)
}

func asset(name string) []byte {
	content, err := embedded.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // a wrong name in this package
	}
	return content
}

// up starts every component as early as possible.
func (c *Cluster) up(ctx context.Context) error {
	if err := c.Process(Etcd).start(); err != nil {
		return err
	}
	if err := waitFor(ctx, "etcd to listen", listens(etcdAddress)); err != nil {
		return err
	}
	if err := c.Process(APIServer).start(); err != nil {
		return err
	}
	if err := c.WaitForAPI(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.nodeUp(ctx) })
	group.Go(func() error { return c.gatewayUp(ctx) })
	group.Go(func() error { return c.applyManifests(ctx) })
	if c.options.Prometheus {
		group.Go(func() error { return c.StartPrometheus(ctx) })
	}
	return group.Wait()
}

func (c *Cluster) applyManifests(ctx context.Context) error {
	admin := c.RESTConfig(Admin)
	namespace := fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", OperatorNamespace)
	if err := Apply(ctx, admin, append([][]byte{[]byte(namespace)}, c.options.Manifests...)...); err != nil {
		return err
	}
	return ApplyFiles(ctx, admin, c.options.ManifestPaths...)
}

// Process returns the component with this name, one of the constants from [Etcd] on, or nil if the cluster does not
// run it.
func (c *Cluster) Process(name string) *Process {
	for _, process := range c.processes {
		if process.name == name {
			return process
		}
	}
	return nil
}

// AccessLog is the path of the file to which the gateway logs each request that it answered with status 400 or higher,
// one JSON object per line, with the address of the chosen pod. The package load reads it.
func (c *Cluster) AccessLog() string { return filepath.Join(c.Dir, "access.log") }

// SetThrottle restarts Traefik with another Options.Throttle, and waits until it serves.
func (c *Cluster) SetThrottle(ctx context.Context, throttle time.Duration) error {
	process := c.Process(Traefik)
	if process == nil {
		return fmt.Errorf("the %s gateway has no throttle: use %s", c.options.Gateway, TraefikGateway)
	}
	c.options.Throttle = throttle
	if err := process.Restart(); err != nil {
		return err
	}
	return waitFor(ctx, "the gateway to listen", listens(GatewayAddress))
}

// PauseEndpointSlices stops the EndpointSlice controller, so that its writes are late. It needs
// [Options.LateEndpoints].
func (c *Cluster) PauseEndpointSlices() error { return c.signalEndpointSlices(syscall.SIGSTOP) }

// ResumeEndpointSlices resumes the EndpointSlice controller.
func (c *Cluster) ResumeEndpointSlices() error { return c.signalEndpointSlices(syscall.SIGCONT) }

func (c *Cluster) signalEndpointSlices(signal syscall.Signal) error {
	process := c.Process(EndpointSlices)
	if process == nil {
		return errors.New("the EndpointSlice controller has no process of its own: set Options.LateEndpoints")
	}
	return process.Signal(signal)
}

// died records that a process exited unexpectedly, and cancels a start in progress.
func (c *Cluster) died(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths = append(c.deaths, err)
	c.cancel(err)
}

// explain adds the first death to an error that does not mention it: it may be the reason for a refused connection.
func (c *Cluster) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.deaths) == 0 || errors.Is(err, c.deaths[0]) {
		return err
	}
	return errors.Join(c.deaths[0], err)
}

// Stop ends every process and waits for each. The error lists the processes that had exited unexpectedly before.
func (c *Cluster) Stop() error {
	err := c.stopAll()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(append(c.deaths, err)...)
}

// stopAll terminates all clients at once, then kills the API server and etcd, whose data is not needed.
func (c *Cluster) stopAll() error {
	var group errgroup.Group
	for _, process := range c.processes {
		if process.name != Etcd && process.name != APIServer {
			group.Go(func() error { return process.Stop(time.Second) })
		}
	}
	if c.builtin != nil {
		group.Go(c.builtin.Stop)
	}
	err := group.Wait()
	return errors.Join(err, c.Process(APIServer).Stop(0), c.Process(Etcd).Stop(0))
}

// Cleanup stops the cluster and removes Dir unless keep is true. It returns the error of [Cluster.Stop].
func (c *Cluster) Cleanup(keep bool) error {
	err := c.Stop()
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(c.Dir))
}
