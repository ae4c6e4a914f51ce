// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness runs the reviews service of the bookinfo sample on a test cluster, released by a CanaryRollout under
// constant traffic through the gateway. Each test has an app in its own namespace, drives it as a user would, and
// checks every request against the rules: none is lost, and none reaches a revision that it must not reach.
package harness

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

const (
	// Rate is the default number of requests per second, over all streams of one app.
	Rate = 120
	// Settle is the settleSeconds of the apps: how long the gateway may take to apply what it has reported, and to
	// learn of endpoints. The operator relies on it (T1 to T3), so shares are only measured after it.
	Settle = time.Second
	// patience is the timeout for a condition.
	patience = 90 * time.Second
)

// App is one instance of the service.
type App struct {
	t   *testing.T
	env *Env
	// Namespace contains only this app.
	Namespace string
	// Traffic uses the rule with the pair, StableOnly a rule with only the stable Service; nil if the route has none.
	Traffic, StableOnly *load.Generator

	rate    float64
	settle  time.Duration
	gateway Gateway
	kind    Kind
	// userRoute is the route's spec at rest.
	userRoute string

	mu      sync.Mutex
	history []Moment
}

// Options configures an App.
type Options struct {
	Steps []v1alpha1.Step
	// Namespace contains only this app. Default: one named after the test.
	Namespace string
	// Rate is requests per second. Default: the constant Rate.
	Rate float64
	// Settle is the app's settleSeconds, in whole seconds. Default: the constant Settle.
	Settle time.Duration
	// Gateway is the gateway that receives the requests. Default: the cluster's.
	Gateway *Gateway
	// Kind is the kind of the route. Default: HTTPRoute.
	Kind *Kind
	// Edit changes the rollout before it is created.
	Edit func(*v1alpha1.CanaryRollout)
}

// Gateway is what an app needs to know about a gateway.
type Gateway struct {
	// Parents are the parents that the route attaches to.
	Parents []gatewayv1.ParentReference
	// Address is where it serves requests: host and port.
	Address string
	// AccessLog is passed on to load.Options.
	AccessLog string
}

// gateway returns the cluster's gateway.
func (e *Env) gateway() Gateway {
	return Gateway{
		Parents: []gatewayv1.ParentReference{{Name: cluster.GatewayName, Namespace: ptr.To(gatewayv1.Namespace(cluster.GatewayNamespace))}},
		Address: cluster.GatewayAddress, AccessLog: e.Cluster.AccessLog(),
	}
}

// New deploys version 1 of an app with these steps, waits until it is Healthy, and starts the traffic.
func New(t *testing.T, env *Env, steps ...v1alpha1.Step) *App {
	t.Helper()
	return Start(t, env, Options{Steps: steps})
}

// Start is New with options.
func Start(t *testing.T, env *Env, options Options) *App {
	t.Helper()
	a := Prepare(t, env, options)
	a.Create(a.Rollout(options))
	a.WaitForState(v1alpha1.StateHealthy)
	a.StartTraffic()
	return a
}

// Prepare creates what a user has before there is a rollout: a namespace with two Services and a route.
func Prepare(t *testing.T, env *Env, options Options) *App {
	t.Helper()
	a := &App{t: t, env: env, Namespace: cmp.Or(options.Namespace, NamespaceOf(t)), rate: cmp.Or(options.Rate, Rate),
		kind: ptr.Deref(options.Kind, HTTPRoute), settle: cmp.Or(options.Settle, Settle), gateway: ptr.Deref(options.Gateway, env.gateway())}
	a.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.Namespace}})
	a.apply(fmt.Sprintf(builder.Services, a.Namespace, "reviews"))
	a.AddRoute(a.kind)
	t.Cleanup(a.removeRoute)
	a.record()
	return a
}

// NamespaceOf returns the namespace of the test's app, which need not exist yet.
func NamespaceOf(t *testing.T) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	return name[:min(len(name), 60)]
}

// Host returns the route's hostname.
func (a *App) Host() string { return a.Namespace + ".example.com" }

// Rollout returns the app's CanaryRollout without creating it.
func (a *App) Rollout(options Options) *v1alpha1.CanaryRollout {
	rollout := builder.MakeRollout(a.Namespace, "reviews").Replicas(4).Steps(options.Steps...).Settle(int32(cmp.Or(options.Settle, Settle).Seconds())).ScaleDownDelay(3).
		Routes("bookinfo-reviews").Obj()
	rollout.Spec.Traffic.Routes[0].Kind = a.kind.Name
	builder.GracePeriod(rollout, 1)
	if options.Edit != nil {
		options.Edit(rollout)
	}
	return rollout
}

// StartTraffic starts the requests. From now on the user's part of the route must not change.
func (a *App) StartTraffic() {
	a.t.Helper()
	a.userRoute = a.usersPart(a.Route())
	// A gateway serves a new route some time after it has reported it, longer on a busy machine. Requests lost before
	// it ever served are out of scope for these tests.
	first := a.Load(a.kind, a.kind.Path, a.rate)
	a.Eventually("the first good answer", func() (bool, string) {
		stats := first.Total()
		return len(stats.ByVersion) > 0, stats.String()
	})
	first.Stop()
	a.Traffic = a.Load(a.kind, a.kind.Path, a.rate)
	if a.kind.StableOnly != "" {
		a.StableOnly = a.Load(a.kind, a.kind.StableOnly, a.rate/6)
	}
	a.Eventually("the first answers", func() (bool, string) {
		stats := a.Traffic.Total()
		return float64(stats.Sent) > a.rate/4, stats.String()
	})
}

// Load sends requests for a path to the app's gateway, as a route of this kind expects them, until the test ends.
func (a *App) Load(kind Kind, path string, rate float64) *load.Generator {
	scheme, streams := "http", []load.Stream{{Name: "qa", Share: 0.1, Headers: map[string]string{"role": "qa"}}}
	if kind.Protocol == load.TLS {
		scheme = "https"
	}
	if path == kind.StableOnly {
		streams = nil
	}
	generator := load.Start(context.WithoutCancel(a.t.Context()), load.Options{
		URL: scheme + "://" + a.gateway.Address + path, Protocol: kind.Protocol, Host: a.Host(), Rate: rate, Streams: streams,
		AccessLog: a.gateway.AccessLog, PodAt: a.env.Pods.PodAt,
	})
	a.t.Cleanup(generator.Stop)
	return generator
}

// AddRoute creates the route of a kind.
func (a *App) AddRoute(kind Kind) {
	a.t.Helper()
	a.apply(kind.manifest(a.Namespace, a.gateway.Parents, a.Host()))
}

// removeRoute removes the app from the gateway's configuration. Traefik builds that as a whole for each change of one app,
// so the apps of finished tests would delay those of the others.
func (a *App) removeRoute() {
	if err := client.IgnoreNotFound(a.env.Admin.Delete(context.WithoutCancel(a.t.Context()), routeOf(a.Namespace, a.kind))); err != nil {
		a.t.Error(err)
	}
}

// apply applies YAML.
func (a *App) apply(manifest string) {
	a.t.Helper()
	if err := cluster.Apply(a.t.Context(), a.env.Cluster.RESTConfig(cluster.Admin), []byte(manifest)); err != nil {
		a.t.Fatal(err)
	}
}

// Create creates an object.
func (a *App) Create(object client.Object) {
	a.t.Helper()
	if err := a.env.Admin.Create(a.t.Context(), object); err != nil {
		a.t.Fatal(err)
	}
}
