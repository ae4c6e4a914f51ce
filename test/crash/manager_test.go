// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"net/http"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/canaryrollout/canaryrollout/controllers"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// supervise runs a manager for a namespace, with its service account, and another one when it dies, as a kubelet
// does, until the test ends. The first one is disturbed.
func supervise(t *testing.T, namespace string) *disturbance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	alive, die := context.WithCancel(ctx)
	d := &disturbance{die: die}
	first := newManager(alive, t, namespace, d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := first.Start(alive); err != nil {
			t.Errorf("the first manager: %v", err)
		}
		if ctx.Err() != nil {
			return
		}
		if err := newManager(ctx, t, namespace, &disturbance{}).Start(ctx); err != nil {
			t.Errorf("the second manager: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return d
}

// newManager sets up a manager as the program does, without what a process can only have once.
func newManager(
	ctx context.Context, t *testing.T, namespace string, d *disturbance, edits ...func(*rest.Config, *ctrl.Options),
) ctrl.Manager {
	t.Helper()
	fatal := func(err error) {
		if err != nil {
			t.Error(err) // may not run in the test's own goroutine
		}
	}
	config := env.Cluster.RESTConfig(cluster.Operator)
	config.QPS, config.Burst = -1, -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return transport{d, next} })
	scheme, err := controllers.NewScheme()
	fatal(err)
	kinds := controllers.NewKinds()
	options := ctrl.Options{
		Scheme: scheme, Cache: controllers.CacheOptions(kinds, "", namespace), Client: controllers.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
	}
	for _, edit := range edits {
		edit(config, &options)
	}
	mgr, err := ctrl.NewManager(config, options)
	fatal(err)
	reconciler := controllers.NewReconciler(mgr, kinds, "canaryrollout-system/manager", "", controllers.Permissions{})
	reconciler.Observer.Cache = newLagging(d, reconciler.Observer.Cache)
	fatal(reconciler.SetupWithManager(ctx, mgr, 2))
	return mgr
}
