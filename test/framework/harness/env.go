// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// Env is shared by the apps of one test binary.
type Env struct {
	Cluster *cluster.Cluster
	// Admin may do everything, without a rate limit.
	Admin client.WithWatch
	// Pods answer the requests.
	Pods *backend.Backend
	// Operator is the running manager; nil if there is none.
	Operator *operator.Operator
}

// EnvOptions configures an Env.
type EnvOptions struct {
	Cluster cluster.Options
	// Parallel is how many tests that call t.Parallel run at once, unless set on the command line. They share the
	// machine with the cluster: the sum of their request rates should not go far beyond Rate.
	Parallel int
	// AsShipped builds the manager without the race detector, for tests that measure it.
	AsShipped bool
	// WithoutOperator installs the CRD and the roles, but does not start the manager.
	WithoutOperator bool
	// Bare installs nothing of ours and does not start the manager: the tests do both.
	Bare bool
	// Build are the programs that the tests need in addition to the manager. They are built before the cluster starts,
	// because there is no network in its namespaces.
	Build []Build
	// Setup prepares the running cluster for all tests.
	Setup func(context.Context) error
}

// Build builds a program and reports what it does to progress.
type Build func(progress io.Writer) error

// Main runs the tests of a package on a cluster with an operator, in its own namespaces. The operator is built with
// the race detector, unless EnvOptions disable it. TestMain only has to call Main, which does not return. The
// cluster's folder, with the log of every process, is kept if a test fails.
func Main(m *testing.M, env *Env, options EnvOptions) {
	manager := func(progress io.Writer) error { return operator.Build(progress, !options.AsShipped) }
	binaries := func(progress io.Writer) error { return cluster.Build(context.Background(), progress, options.Cluster) }
	for _, build := range append([]Build{manager, binaries}, options.Build...) {
		if err := build(os.Stderr); err != nil {
			fmt.Println("FAIL:", err)
			os.Exit(1)
		}
	}
	cluster.Isolate()
	code := 1
	if err := env.run(m, options, &code); err != nil {
		fmt.Println("FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

func (e *Env) run(m *testing.M, options EnvOptions, code *int) (err error) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard()) // otherwise controller-runtime complains that no logger was set
	if e.Cluster, err = cluster.Start(ctx, options.Cluster); err != nil {
		return err
	}
	defer func() {
		failed := *code != 0 || err != nil
		if failed {
			fmt.Println("the logs of the failed run are in", e.Cluster.Dir)
		}
		err = errors.Join(err, e.Cluster.Cleanup(failed))
	}()
	if !options.Bare {
		if err := operator.Install(ctx, e.Cluster); err != nil {
			return err
		}
	}
	if e.Admin, err = e.Client(cluster.Admin); err != nil {
		return err
	}
	if e.Pods, err = backend.Start(ctx, e.Cluster.RESTConfig(cluster.Admin)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Pods.Stop()) }()
	if options.Setup != nil {
		if err := options.Setup(ctx); err != nil {
			return err
		}
	}
	if !options.WithoutOperator && !options.Bare {
		if err := e.StartOperator(ctx); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, e.stopOperator()) }()
	if options.Parallel > 0 {
		if err := flag.Set("test.parallel", strconv.Itoa(options.Parallel)); err != nil {
			return err
		}
	}
	*code = m.Run()
	return nil
}

// stopOperator stops the operator that the tests leave. It also reports a crash of an earlier one, which the tests may
// have restarted.
func (e *Env) stopOperator() error {
	if e.Operator == nil {
		return nil
	}
	return errors.Join(e.Operator.Crashed(), e.Operator.Stop())
}

// StartOperator starts the manager, or restarts it in its pod, with further flags. It logs every reconcile, so that reconciles can be
// counted.
func (e *Env) StartOperator(ctx context.Context, args ...string) (err error) {
	e.Operator, err = operator.Start(ctx, e.Cluster, operator.Options{
		Pod: "manager", Args: append([]string{"--zap-log-level=debug", "--probe-allow=" + cluster.NodeAddress}, args...),
	})
	return err
}

// WaitForPolicies waits until the policies know the schema of a rollout. The API server looks for new ones every five seconds.
func (e *Env) WaitForPolicies(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := e.Admin.Create(ctx, builder.MakeRollout("default", "reviews").Obj(), client.DryRunAll)
		if apierrors.IsServiceUnavailable(err) {
			return false, nil
		}
		return true, err
	})
}

// Client returns a client with the rights of a user and no rate limit.
func (e *Env) Client(user cluster.User) (client.WithWatch, error) {
	config := e.Cluster.RESTConfig(user)
	config.WarningHandler = rest.NoWarnings{} // they would drown the output of the tests
	types, err := scheme()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: types})
}

// scheme returns the types of all clients. Those of client-go are shared with other code, and must not be added to.
var scheme = sync.OnceValues(func() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	return s, errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s), gatewayv1.Install(s))
})
