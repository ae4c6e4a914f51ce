// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e releases canaries on a real cluster, through a real gateway, under load, and holds every request that
// was sent against the rules: none is lost, and none reaches a revision that it must not reach.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/operator"
)

// One cluster with one operator for all tests; each test has a namespace of its own.
var (
	up    *cluster.Cluster
	admin client.WithWatch
	pods  *backend.Backend
	// manager is the operator.
	manager *operator.Operator
)

func TestMain(m *testing.M) {
	if err := operator.Build(os.Stderr, true); err != nil {
		fmt.Println("FAIL: building the operator:", err)
		os.Exit(1)
	}
	cluster.Isolate()
	code := 1
	if err := run(m, &code); err != nil {
		fmt.Println("FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

// run keeps the cluster's folder, with the log of every process, when a test failed.
func run(m *testing.M, code *int) (err error) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard()) // the client library asks for one
	if up, err = cluster.Start(ctx, cluster.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, up.Cleanup(*code != 0 || err != nil)) }()
	if err := operator.Install(ctx, up); err != nil {
		return err
	}
	if admin, err = newClient(up.RESTConfig(cluster.Admin)); err != nil {
		return err
	}
	if pods, err = backend.Start(ctx, up.RESTConfig(cluster.Admin)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pods.Stop()) }()
	// Every pass is in the log, so that passes can be counted.
	if manager, err = operator.Start(ctx, up, operator.Options{Args: []string{"--zap-log-level=debug"}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Stop()) }()
	*code = m.Run()
	if *code != 0 {
		fmt.Println("the logs of the failed run are in", up.Dir)
	}
	return nil
}

func newClient(config *rest.Config) (client.WithWatch, error) {
	config.QPS, config.Burst = -1, -1
	config.WarningHandler = rest.NoWarnings{}
	c, err := client.NewWithWatch(config, client.Options{})
	if err != nil {
		return nil, err
	}
	return c, errors.Join(v1alpha1.AddToScheme(c.Scheme()), gatewayv1.Install(c.Scheme()))
}
