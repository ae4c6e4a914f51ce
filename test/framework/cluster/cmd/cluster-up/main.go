// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command cluster-up runs the test cluster until Ctrl-C, for a terminal on the host: it prints an administrator's
// kubeconfig and the gateway's address. Arguments are manifests (files or folders) to apply.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
)

func main() {
	buildOnly := flag.Bool("build-only", false, "build the cluster's binaries and stop")
	api := flag.String("api-address", "127.0.0.1:0", "host address for the API server; port 0 takes a free one")
	gateway := flag.String("gateway-address", "127.0.0.1:0", "host address for the gateway; port 0 takes a free one")
	keep := flag.Bool("keep", false, "keep the folder with the logs")
	options := cluster.Options{Gateway: cluster.BuiltinGateway}
	flag.Var(&options.Gateway, "gateway", "the gateway: builtin, or traefik, which takes some minutes more to build the first time")
	flag.BoolVar(&options.Prometheus, "prometheus", false, "run Prometheus, which scrapes the gateway")
	flag.StringVar(&options.Dir, "dir", "", "folder for logs and data (default: a new one in the temporary folder)")
	flag.BoolVar(&options.LateEndpoints, "late-endpoints", false, "run the EndpointSlice controller as a process of its own")
	flag.Parse()
	options.ManifestPaths = flag.Args()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *buildOnly {
		exitOn(cluster.Build(ctx, os.Stderr, options))
		return
	}
	exitOn(isolate(ctx, options, *api, *gateway))
	exitOn(run(ctx, options, *keep))
}

// isolate returns inside the namespaces. It only builds what a cluster with these options needs.
func isolate(ctx context.Context, options cluster.Options, apiAddress, gatewayAddress string) error {
	if err := cluster.Build(ctx, os.Stderr, options); err != nil {
		return err
	}
	exposed := []cluster.Expose{
		{Inside: cluster.APIAddress, Outside: apiAddress},
		{Inside: cluster.GatewayAddress, Outside: gatewayAddress},
	}
	if options.Prometheus {
		exposed = append(exposed, cluster.Expose{Inside: cluster.PrometheusAddress, Outside: "127.0.0.1:0"})
	}
	cluster.Isolate(exposed...)
	log.SetLogger(logr.Discard()) // otherwise controller-runtime complains that no logger was set
	return nil
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster-up:", err)
		os.Exit(1)
	}
}

// run keeps the cluster up until ctx ends.
func run(ctx context.Context, options cluster.Options, keep bool) (err error) {
	c, err := cluster.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Cleanup(keep)) }()
	pods, err := backend.Start(ctx, c.RESTConfig(cluster.Admin))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pods.Stop()) }()
	if err := welcome(c); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func welcome(c *cluster.Cluster) error {
	kubeconfig := filepath.Join(c.Dir, "kubeconfig")
	if err := c.WriteKubeconfig(cluster.Admin, cluster.Outside(cluster.APIAddress), kubeconfig); err != nil {
		return err
	}
	fmt.Printf("The cluster is up. In another terminal:\n\n  export KUBECONFIG=%s\n\n", kubeconfig)
	fmt.Printf("Gateway %s/%s:  curl -H 'Host: HOSTNAME-OF-A-ROUTE' http://%s/\n", cluster.GatewayNamespace,
		cluster.GatewayName, cluster.Outside(cluster.GatewayAddress))
	if address := cluster.Outside(cluster.PrometheusAddress); address != "" {
		fmt.Printf("Prometheus:  http://%s/\n", address)
	}
	fmt.Printf("Ready pods answer on port %d. Logs: %s. Ctrl-C ends everything.\n", cluster.PodPort, c.Dir)
	return nil
}
