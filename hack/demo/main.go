// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo releases a canary in this terminal, on its own cluster: it starts the cluster, the operator and the
// sample in config/samples/reviews, sends 100 requests per second, and replaces version 1 with version 2, using the
// kubectl commands that a user would type. It fails if a single request fails.
//
// With --hold it stops at the pause before the first share of traffic and leaves the rest to the user. With
// --scenario something interferes: an abort, a third version, pods that die, or a tool that writes to the route; or version
// 2 is bad, and the release judges itself by the metrics that Prometheus scrapes from the gateway. The gateway is a small one of this repository; --gateway=traefik builds and runs Traefik.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// interrupted is the exit code of shells for a program that Ctrl-C ended.
const interrupted = 130

var errStopped = errors.New("stopped")

// options are the flags.
type options struct {
	gateway  cluster.Gateway
	hold     bool
	scenario string
	timeout  time.Duration
}

// cluster returns the options of the cluster that the demo runs on.
func (o options) cluster() cluster.Options {
	return cluster.Options{Gateway: o.gateway, Prometheus: scenarios[o.scenario].isBad}
}

func main() {
	o := options{gateway: cluster.BuiltinGateway}
	flag.Var(&o.gateway, "gateway", "the gateway: builtin, or traefik, which takes some minutes more to build the first time")
	flag.BoolVar(&o.hold, "hold", false, "stop at the pause and leave the rest to you, until Ctrl-C")
	flag.StringVar(&o.scenario, "scenario", defaultScenario, "what happens after the pause: release, abort, bad-version, supersede, dying-canary or gitops")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "fail when it takes longer, without the build")
	flag.Parse()
	out := newScreen(os.Stdout)
	if _, err := findScenario(o.scenario); err != nil {
		os.Exit(out.failure(err))
	}
	if onHost() {
		if err := withSignals(func(ctx context.Context) error { return build(ctx, out, o.cluster()) }); err != nil {
			os.Exit(out.failure(err))
		}
	}
	cluster.Isolate(
		cluster.Expose{Inside: cluster.APIAddress, Outside: "127.0.0.1:0"},
		cluster.Expose{Inside: cluster.GatewayAddress, Outside: "127.0.0.1:0"},
	)
	log.SetLogger(logr.Discard()) // otherwise controller-runtime complains that no logger was set
	if err := withSignals(func(ctx context.Context) error { return run(ctx, out, o) }); err != nil {
		os.Exit(out.failure(err))
	}
}

// onHost reports whether this is the first start of the program, not the one inside the namespaces.
func onHost() bool { return cluster.Outside(cluster.APIAddress) == "" }

// withSignals makes Ctrl-C end the current work in order, and a second one at once.
func withSignals(do func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := do(ctx)
	if err != nil && ctx.Err() != nil && !errors.As(err, new(*lostError)) {
		return errStopped
	}
	return err
}

// build builds everything that needs the network: inside the namespaces there is none.
func build(ctx context.Context, out *screen, options cluster.Options) error {
	out.text("CanaryRollout replaces version 1 of a service by version 2, step by step, while %d requests a second "+
		"come in. Not one of them may be lost.", rate)
	for _, program := range []string{"go", "kubectl", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the demo needs Go, kubectl and ip (iproute2): %w", err)
		}
	}
	if _, err := os.Stat(sample); err != nil {
		return fmt.Errorf("run the demo from the repository's folder, by make demo: %w", err)
	}
	out.title("Building Kubernetes and the operator")
	minutes := "ten"
	if options.Prometheus {
		minutes = "twelve"
	}
	out.text("All of it from source. This takes about %s minutes on two cores the first time, and seconds later.", minutes)
	return out.await("building", func() error {
		if err := cluster.Build(ctx, out, options); err != nil {
			return err
		}
		return errors.Join(operator.Build(out, false), ctx.Err())
	})
}
