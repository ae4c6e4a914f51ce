// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command manager runs the controller.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	_ "golang.org/x/crypto/x509roots/fallback" // the image has no CA certificates
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/canaryrollout/canaryrollout/cmd/version"
	"github.com/canaryrollout/canaryrollout/controllers"
	"github.com/canaryrollout/canaryrollout/controllers/measure"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/notify"
	"github.com/canaryrollout/canaryrollout/controllers/probe"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

func main() {
	options := newOptions(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&options.logging)))
	build := version.Get()
	ctrl.Log.Info("Starting the manager", "version", build.Version, "revision", build.Revision, "go", build.GoVersion)
	metrics.RecordBuild(build.Version, build.Revision, build.GoVersion)
	metrics.RecordShards(max(options.shard.Count, 1))
	if err := run(ctrl.SetupSignalHandler(), options); err != nil {
		ctrl.Log.Error(err, "The manager cannot run")
		os.Exit(1)
	}
}

// options holds the values of the flags.
type options struct {
	namespace       string
	namespaces      []string
	shard           shard.Shard
	probeAddress    string
	concurrency     int
	qps             float64
	burst           int
	leaderElection  bool
	leaseNamespace  string
	leaseDuration   time.Duration
	renewDeadline   time.Duration
	retryPeriod     time.Duration
	shutdownTimeout time.Duration
	sharedMetrics   string
	metricsAddress  string
	metricsSecure   bool
	metricsCertDir  string
	metricsCertName string
	metricsKeyName  string
	probeAllow      []string
	metricProviders string
	sinks           string
	allowJobs       bool
	logging         zap.Options
}

func newOptions(flags *flag.FlagSet) *options {
	o := &options{logging: zap.Options{TimeEncoder: zapcore.ISO8601TimeEncoder}}
	flags.StringVar(&o.namespace, "namespace", "", "Manage only rollouts in these namespaces, separated by commas. Empty means all namespaces.")
	flags.Func("shard", "Manage only one of several shards of the rollouts: INDEX/COUNT, as in 0/3. Each shard needs a manager.", func(value string) (err error) {
		o.shard, err = shard.Parse(value)
		return err
	})
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 for none.")
	flags.IntVar(&o.concurrency, "max-concurrent-reconciles", 0, "How many rollouts are reconciled concurrently. 0 means 4 for each CPU, and at least 10.")
	flags.Float64Var(&o.qps, "kube-api-qps", -1, "Sustained requests per second to the API server. "+
		"A negative number means no limit but that of the API server.")
	flags.IntVar(&o.burst, "kube-api-burst", 100, "Maximum burst of requests to the API server, if --kube-api-qps sets a limit.")
	flags.BoolVar(&o.leaderElection, "leader-elect", true, "Only the elected replica reconciles. The others keep their caches warm.")
	flags.StringVar(&o.leaseNamespace, "leader-election-namespace", "", "Namespace of the lease. Defaults to the namespace of the pod.")
	flags.DurationVar(&o.leaseDuration, "leader-election-lease-duration", 15*time.Second,
		"How long other replicas wait, after the leader last renewed its lease, before they take over.")
	flags.DurationVar(&o.renewDeadline, "leader-election-renew-deadline", 10*time.Second,
		"How long a leader that cannot renew its lease continues before it exits. With the retry period, it must be less than the lease duration.")
	flags.DurationVar(&o.retryPeriod, "leader-election-retry-period", 2*time.Second,
		"How often a replica renews the lease, or tries to acquire it. Must be less than the renew deadline.")
	flags.DurationVar(&o.shutdownTimeout, "shutdown-timeout", 20*time.Second,
		"How long running passes may take to end after SIGTERM. Keep it below the pod's termination grace period.")
	flags.StringVar(&o.sharedMetrics, "shared-metrics-namespace", "", "Namespace of the CanaryMetrics that rollouts refer to with scope Shared. Defaults to the namespace of the pod.")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address of /metrics; 0 for none.")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to clients that are authorized to GET /metrics.")
	flags.StringVar(&o.metricsCertDir, "metrics-cert-dir", "", "Directory of the metrics server's certificate. Empty means a self-signed certificate.")
	flags.StringVar(&o.metricsCertName, "metrics-cert-name", "tls.crt", "File name of the certificate.")
	flags.StringVar(&o.metricsKeyName, "metrics-key-name", "tls.key", "File name of its key.")
	flags.Func("probe-allow", "Hosts, as in gateway.infra.svc or *.infra.svc, addresses and CIDRs that probes of rollouts "+
		"(spec.traffic.probe) may send requests to, with commas between them; no probe is sent if empty.", func(value string) error {
		if value != "" {
			o.probeAllow = append(o.probeAllow, strings.Split(value, ",")...)
		}
		return nil
	})
	flags.StringVar(&o.metricProviders, "metric-providers", "", "File with the metric providers that rollouts may name; none if empty. "+
		"The manager has to be restarted when it changes.")
	flags.StringVar(&o.sinks, "notification-sinks", "", "File with the sinks that notifications of rollouts may be sent to; none if empty. "+
		"The manager has to be restarted when it changes.")
	flags.BoolVar(&o.allowJobs, "allow-jobs", false, "Let rollouts run Jobs as metrics. The manager needs rights for Jobs.")
	o.logging.BindFlags(flags)
	return o
}

// validate checks numbers, and flags that depend on each other.
func (o *options) validate() error {
	if err := o.validateLease(); err != nil {
		return err
	}
	if !o.shard.IsWhole() && !o.leaderElection {
		return errors.New("--shard is set and --leader-elect is false: without leases, two managers could work on one rollout")
	}
	if o.concurrency < 0 {
		return fmt.Errorf("--max-concurrent-reconciles is %d: it must be greater than 0, or 0 for the default", o.concurrency)
	}
	if o.qps == 0 {
		return errors.New("--kube-api-qps is 0: it must be greater than 0, or negative for no limit")
	}
	if o.burst <= 0 {
		return fmt.Errorf("--kube-api-burst is %d: it must be greater than 0", o.burst)
	}
	if o.shutdownTimeout <= 0 {
		return fmt.Errorf("--shutdown-timeout is %s: it must be greater than 0, or the lease is not released in time", o.shutdownTimeout)
	}
	if o.sharedMetrics != "" {
		return checkNamespace("--shared-metrics-namespace", o.sharedMetrics, o.sharedMetrics)
	}
	return nil
}

// validateLease checks the timings of the lease. A leader begins to renew it a retry period after the last renewal, and ends a renew
// deadline after that. Others read the duration of the lease in seconds. The ratio of renew deadline to retry period is from client-go.
func (o *options) validateLease() error {
	if o.leaseDuration != o.leaseDuration.Truncate(time.Second) {
		return fmt.Errorf("--leader-election-lease-duration is %s: it must be in whole seconds", o.leaseDuration)
	}
	if o.leaseDuration <= o.renewDeadline+o.retryPeriod {
		return fmt.Errorf("--leader-election-lease-duration is %s: it must be longer than --leader-election-renew-deadline, %s, "+
			"and --leader-election-retry-period, %s, together, or two managers lead at once", o.leaseDuration, o.renewDeadline, o.retryPeriod)
	}
	if limit := time.Duration(leaderelection.JitterFactor * float64(o.retryPeriod)); o.renewDeadline <= limit || limit <= 0 {
		return fmt.Errorf("--leader-election-retry-period is %s: it must be above 0, and %g times it below "+
			"--leader-election-renew-deadline, %s", o.retryPeriod, leaderelection.JitterFactor, o.renewDeadline)
	}
	return nil
}

func run(ctx context.Context, o *options) error {
	if err := o.complete(); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	permissions, err := o.permissions()
	if err != nil {
		return err
	}
	o.leaseNamespace, o.sharedMetrics = cmp.Or(o.leaseNamespace, podNamespace()), cmp.Or(o.sharedMetrics, podNamespace())
	kinds := controllers.NewKinds()
	mgr, err := newManager(config, o, kinds)
	if err != nil {
		return err
	}
	reconciler := controllers.NewReconciler(mgr, kinds, o.lease(), o.sharedMetrics, permissions)
	reconciler.Shard = o.shard
	if err := reconciler.SetupWithManager(ctx, mgr, cmp.Or(o.concurrency, controllers.DefaultConcurrency())); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// complete parses --namespace and rejects invalid values of the flags.
func (o *options) complete() error {
	if o.namespace == "" {
		return o.validate()
	}
	o.namespaces = strings.Split(o.namespace, ",")
	for _, namespace := range o.namespaces {
		if err := checkNamespace("--namespace", o.namespace, namespace); err != nil {
			return err
		}
	}
	return o.validate()
}

// checkNamespace returns an error if a part of the value of a flag is no name of a namespace.
func checkNamespace(flag, value, namespace string) error {
	if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
		return fmt.Errorf("%s is %q: %q is no name of a namespace: %s", flag, value, namespace, strings.Join(problems, "; "))
	}
	return nil
}

// permissions reads what rollouts may make the manager do.
func (o *options) permissions() (controllers.Permissions, error) {
	allow, err := probe.ParseAllow(o.probeAllow...)
	if err != nil {
		return controllers.Permissions{}, fmt.Errorf("--probe-allow: %w", err)
	}
	permissions := controllers.Permissions{Probes: allow, Jobs: o.allowJobs}
	if o.metricProviders != "" {
		if permissions.Providers, err = measure.LoadProviders(o.metricProviders); err != nil {
			return controllers.Permissions{}, fmt.Errorf("--metric-providers: %w", err)
		}
	}
	if o.sinks != "" {
		if permissions.Sinks, err = notify.LoadSinks(o.sinks); err != nil {
			return controllers.Permissions{}, fmt.Errorf("--notification-sinks: %w", err)
		}
	}
	return permissions, nil
}

// podNamespace returns the namespace of this pod, as mounted by the kubelet; empty outside a cluster.
func podNamespace() string {
	content, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// lease identifies managers that take turns. Managers with different leases work at the same time.
func (o *options) lease() string {
	if o.leaderElection {
		return o.leaseNamespace + "/" + o.shard.Lease()
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return "none, on host " + host
}

func newManager(config *rest.Config, o *options, kinds *controllers.Kinds) (ctrl.Manager, error) {
	config = o.connection(config)
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	managerOptions := ctrl.Options{
		Scheme:                 scheme,
		MapperProvider:         controllers.NewMapper,
		Cache:                  controllers.CacheOptions(kinds, o.sharedMetrics, o.namespaces...),
		Client:                 controllers.ClientOptions(),
		Metrics:                o.metrics(),
		HealthProbeBindAddress: o.probeAddress,
		LeaderElection:         o.leaderElection,
		LeaderElectionID:       o.shard.Lease(),
		LeaseDuration:          &o.leaseDuration,
		RenewDeadline:          &o.renewDeadline,
		RetryPeriod:            &o.retryPeriod,
		// The lease is released as soon as the last pass has ended; nothing runs after Start returns. This must happen
		// before the kubelet kills the process, or the next leader has to wait until the lease expires.
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &o.shutdownTimeout,
	}
	var lock *shardLock
	if o.leaderElection {
		if lock, err = o.newLock(config); err != nil {
			return nil, err
		}
		managerOptions.LeaderElectionResourceLockInterface = lock
	}
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	if lock != nil {
		lock.LockConfig.EventRecorder = mgr.GetEventRecorderFor(o.shard.Lease()) //nolint:staticcheck // client-go's leases take no other recorder
	}
	return mgr, addProbes(mgr)
}

// connection returns how to connect to the API server.
func (o *options) connection(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = float32(o.qps), o.burst
	// For clients that accept it, the API server compresses each event of a watch (WatchListCompression, Kubernetes 1.37). Inside a
	// cluster, the CPU time on both sides is worth more than the bytes.
	config.DisableCompression = true
	if !o.shard.IsWhole() {
		config = rest.AddUserAgent(config, "shard-"+o.shard.String()) // for the audit log
	}
	return config
}

func (o *options) metrics() metricsserver.Options {
	served := metricsserver.Options{
		BindAddress: o.metricsAddress, SecureServing: o.metricsSecure,
		CertDir: o.metricsCertDir, CertName: o.metricsCertName, KeyName: o.metricsKeyName,
	}
	if o.metricsSecure {
		served.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	return served
}
