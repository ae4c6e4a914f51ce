// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/shard"
)

// TestCommandsFirst: a rollout with a command is reconciled before 200 others that were queued earlier, also if the
// command was given while the rollout was among them, and in one pass. So is one whose command was accepted, and whose annotation
// was removed. Once the command is gone, it is one of them.
func TestCommandsFirst(t *testing.T) {
	scheme, informers := fakeInformers(t)
	begun, proceed := make(chan string), make(chan struct{})
	passes := reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
		select {
		case begun <- req.Name:
		case <-ctx.Done():
		}
		select {
		case <-proceed:
		case <-ctx.Done():
		}
		return ctrl.Result{}, nil
	})
	blockers := make(chan event.GenericEvent, 1)
	blockers <- event.GenericEvent{Object: named("blocker", "")}
	startController(t, scheme, informers, passes, shard.Shard{}, source.Channel(blockers, &handler.EnqueueRequestForObject{}))
	next := func() string {
		t.Helper()
		select {
		case name := <-begun:
			return name
		case <-time.After(10 * time.Second):
			t.Fatal("no pass begins")
			return ""
		}
	}
	if first := next(); first != "blocker" {
		t.Fatalf("the first pass is for %s", first)
	}
	informer, err := informers.FakeInformerFor(t.Context(), &observe.Rollout{})
	if err != nil {
		t.Fatal(err)
	}
	change := func(name, before, after string) {
		was, is := named(name, before), named(name, after)
		was.SetResourceVersion("1")
		is.SetResourceVersion("2")
		informer.Update(was, is)
	}
	for i := range 200 {
		change(fmt.Sprintf("storm-%d", i), "", "")
	}
	change("storm-150", "", v1alpha1.AbortAnnotation)
	informer.Add(named("promoted", v1alpha1.PromoteAnnotation))
	change("retried", "", v1alpha1.RetryAnnotation)
	accepted := named("accepted", "").(*observe.Rollout)
	accepted.SetResourceVersion("2")
	accepted.Status.Memory = &v1alpha1.Memory{Command: &v1alpha1.CommandMemory{Command: v1alpha1.CommandPromote}}
	informer.Update(named("accepted", v1alpha1.PromoteAnnotation), accepted)
	change("done", v1alpha1.AbortAnnotation, "")
	var order []string
	for range 204 {
		proceed <- struct{}{}
		order = append(order, next())
	}
	close(proceed)
	if want := []string{"storm-150", "promoted", "retried", "accepted", "storm-0", "storm-1"}; !slices.Equal(order[:6], want) {
		t.Errorf("the first passes are for %v, want %v", order[:6], want)
	}
	if last := order[len(order)-1]; last != "done" {
		t.Errorf("the last pass is for %s: want the rollout whose command is gone", last)
	}
}

// named returns a rollout with this annotation, unless it is empty.
func named(name, annotation string) client.Object {
	rollout := &observe.Rollout{}
	rollout.SetNamespace(key.Namespace)
	rollout.SetName(name)
	if annotation != "" {
		rollout.SetAnnotations(map[string]string{annotation: "true"})
	}
	return rollout
}

// fakeInformers returns informers of rollouts whose events are made by the test.
func fakeInformers(t *testing.T) (*runtime.Scheme, *guardedInformers) {
	t.Helper()
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	return scheme, &guardedInformers{FakeInformers: &informertest.FakeInformers{Scheme: scheme}}
}

// guardedInformers are fake informers to which two watches of a controller may add handlers at the same time, as they do at its start.
type guardedInformers struct {
	*informertest.FakeInformers

	mu sync.Mutex
}

// GetInformer implements cache.Cache.
func (g *guardedInformers) GetInformer(ctx context.Context, object client.Object, options ...cache.InformerGetOption) (cache.Informer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	informer, err := g.FakeInformers.GetInformer(ctx, object, options...)
	return guardedInformer{informer, &g.mu}, err
}

type guardedInformer struct {
	cache.Informer

	mu *sync.Mutex
}

// AddEventHandlerWithOptions implements cache.Informer.
func (g guardedInformer) AddEventHandlerWithOptions(to toolscache.ResourceEventHandler, options toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.Informer.AddEventHandlerWithOptions(to, options)
}

// startController runs a controller of rollouts with one worker and the options of the real one until the test ends.
func startController(t *testing.T, scheme *runtime.Scheme, informers cache.Cache, passes reconcile.Reconciler, of shard.Shard, other source.Source) {
	t.Helper()
	mgr, err := ctrl.NewManager(&rest.Config{}, ctrl.Options{
		Scheme:         scheme,
		NewCache:       func(*rest.Config, cache.Options) (cache.Cache, error) { return informers, nil },
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return meta.NewDefaultRESTMapper(nil), nil },
		Metrics:        metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	options := controllerOptions(1, of)
	options.SkipNameValidation = ptr.To(true)
	built, err := watchRollouts(builder.ControllerManagedBy(mgr).Named("priorities"), enqueueRollout).
		WatchesRawSource(other).WithOptions(options).Build(passes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- built.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
