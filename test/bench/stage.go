// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// A stage is a cluster with a fleet of deployed rollouts, one rollout in another namespace, and a manager.
type stage struct {
	options  *options
	version  version
	n        int
	cluster  *cluster.Cluster
	admin    client.Client
	gateway  *gateway
	rollouts *board[*rollout]
	audit    *cluster.AuditReader
	manager  *operator.Operator
	// metricsPort is where the manager serves its metrics.
	metricsPort int
	// record adds a figure of the current scenario.
	record func(figure, unit string, value float64)

	// events are the requests since the window was opened.
	events []auditv1.Event
	// image counts the images that were used.
	image  int
	cancel context.CancelFunc
}

// one is the rollout that the fleet must not delay.
var one = types.NamespacedName{Namespace: calmNamespace, Name: "one"}

// newStage returns when all rollouts are deployed.
func newStage(ctx context.Context, o *options, config cluster.Options, v version, n int) (s *stage, err error) {
	s = &stage{options: o, version: v, n: n, rollouts: newBoard[*rollout](), cancel: func() {}}
	if s.cluster, err = cluster.Start(ctx, config); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, context.Cause(ctx), s.stop(true))
	}
	return s, nil
}

func (s *stage) prepare(ctx context.Context) (err error) {
	known, err := newScheme()
	if err != nil {
		return err
	}
	config := s.cluster.RESTConfig(cluster.Admin)
	if s.admin, err = client.New(config, client.Options{Scheme: known}); err != nil {
		return err
	}
	manifests, err := os.ReadFile(s.version.Manifests)
	if err != nil {
		return err
	}
	if err := operator.InstallManifests(ctx, s.cluster, manifests); err != nil {
		return err
	}
	s.gateway = &gateway{admin: s.admin, weights: newBoard[weight]()}
	if err := s.gateway.install(ctx); err != nil {
		return err
	}
	if err := s.watch(ctx, known); err != nil {
		return err
	}
	if s.audit, err = s.cluster.OpenAudit(); err != nil {
		return err
	}
	if s.manager, err = s.startManager(ctx, 0); err != nil {
		return err
	}
	return s.deploy(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	addRollouts(s)
	return s, errors.Join(clientgoscheme.AddToScheme(s), gatewayv1.Install(s))
}

// startManager starts a manager as it is in production, in one of two pods. Metrics are not secured, so that reading them
// costs the manager no requests.
func (s *stage) startManager(ctx context.Context, pod int) (*operator.Operator, error) {
	s.metricsPort = 8443 + pod
	name := fmt.Sprintf("manager-%d", pod)
	return operator.Start(ctx, s.cluster, operator.Options{
		Name: name, Pod: name, Binary: s.version.Manager, ProbePort: 8081 + pod, MetricsPort: s.metricsPort,
		Args: append([]string{"--metrics-secure=false"}, s.version.Args...),
	})
}

// watch keeps the boards current until the stage stops.
func (s *stage) watch(ctx context.Context, known *runtime.Scheme) error {
	ctx, s.cancel = context.WithCancel(ctx)
	all, err := cache.New(s.cluster.RESTConfig(cluster.Admin), cache.Options{Scheme: known})
	if err != nil {
		return err
	}
	rollouts, err := follow(ctx, all, func(r *rollout) {
		s.rollouts.set(client.ObjectKeyFromObject(r), func(*rollout) *rollout { return r })
	})
	if err != nil {
		return err
	}
	routes, err := follow(ctx, all, func(route *gatewayv1.HTTPRoute) { s.gateway.see(ctx, route) })
	if err != nil {
		return err
	}
	go func() { _ = all.Start(ctx) }() // it ends with ctx; a failure shows below
	if !toolscache.WaitForCacheSync(ctx.Done(), rollouts, routes) {
		return errors.New("the rollouts and routes could not be listed")
	}
	return nil
}

// follow calls see with every version of every object of a kind.
func follow[T any, P interface {
	*T
	client.Object
}](ctx context.Context, all cache.Cache, see func(P)) (toolscache.InformerSynced, error) {
	informer, err := all.GetInformer(ctx, P(new(T)))
	if err != nil {
		return nil, err
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { see(object.(P)) },
		UpdateFunc: func(_, object any) { see(object.(P)) },
	})
	if err != nil {
		return nil, err
	}
	return registration.HasSynced, nil
}

// stop ends everything. The logs are kept if something failed.
func (s *stage) stop(failed bool) (err error) {
	if s.manager != nil {
		err = s.manager.Stop()
	}
	s.cancel()
	if s.gateway != nil {
		err = errors.Join(err, s.gateway.writing.Wait())
	}
	if s.audit != nil {
		err = errors.Join(err, s.audit.Close())
	}
	err = errors.Join(err, s.cluster.Cleanup(failed || err != nil))
	if err != nil || failed {
		fmt.Fprintln(os.Stderr, "the logs are in", s.cluster.Dir)
	}
	return err
}
