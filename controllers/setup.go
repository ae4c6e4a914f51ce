// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/apply"
	"github.com/canaryrollout/canaryrollout/controllers/measure"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/notify"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/probe"
)

const controllerName = "canaryrollout"

// CacheOptions returns the cache options that Reconciler needs: only ReplicaSets with our label, and Services and
// EndpointSlices without the fields that are not read. Without namespaces, the cache covers the whole cluster. Otherwise it also
// has the CanaryMetrics of the namespace sharedMetrics.
func CacheOptions(kinds *Kinds, sharedMetrics string, namespaces ...string) cache.Options {
	ours, err := labels.NewRequirement(v1alpha1.RolloutLabel, selection.Exists, nil)
	if err != nil {
		panic(err) // a constant
	}
	options := cache.Options{
		DefaultTransform: stripOther,
		// Reading a kind that is not watched would start a watch of it, which is always a mistake here.
		ReaderFailOnMissingInformer: true,
		DefaultWatchErrorHandler:    kinds.watchFailed,
		ByObject: map[client.Object]cache.ByObject{
			observe.New(observe.ReplicaSetKind): {Label: labels.NewSelector().Add(*ours), Transform: observe.StripReplicaSet},
			&observe.Rollout{}:                  {Transform: observe.StripRollout},
			&corev1.Service{}:                   {Transform: observe.StripService},
			&discoveryv1.EndpointSlice{}:        {Transform: observe.StripEndpointSlice},
		},
	}
	// Plans read CanaryMetrics without changing them, so each pass can have the very objects of the cache.
	metrics := cache.ByObject{UnsafeDisableDeepCopy: ptr.To(true)}
	if len(namespaces) > 0 {
		options.DefaultNamespaces, metrics.Namespaces = map[string]cache.Config{}, map[string]cache.Config{}
	}
	for _, namespace := range namespaces {
		options.DefaultNamespaces[namespace], metrics.Namespaces[namespace] = cache.Config{}, cache.Config{}
	}
	if len(namespaces) > 0 && sharedMetrics != "" {
		metrics.Namespaces[sharedMetrics] = cache.Config{}
	}
	options.ByObject[&v1alpha1.CanaryMetric{}] = metrics
	return options
}

// NewMapper returns a RESTMapper that knows CanaryMetrics even if the cluster does not serve them: CacheOptions names them, and a
// cache cannot be made from the name of a kind that is unknown.
func NewMapper(config *rest.Config, http *http.Client) (meta.RESTMapper, error) {
	served, err := apiutil.NewDynamicRESTMapper(config, http)
	if err != nil {
		return nil, err
	}
	known := meta.NewDefaultRESTMapper(nil)
	known.Add(observe.MetricKind, meta.RESTScopeNamespace)
	return meta.FirstHitRESTMapper{MultiRESTMapper: meta.MultiRESTMapper{known, served}}, nil
}

// stripOther is the transform of all kinds to which CacheOptions gives none. Routes, whose kinds may be added later,
// keep the manager that wrote their rules.
func stripOther(object any) (any, error) {
	if o, isObject := object.(runtime.Object); isObject && o.GetObjectKind().GroupVersionKind().Group == gatewayv1.GroupName {
		return observe.StripRoute(object)
	}
	return cache.TransformStripManagedFields()(object)
}

// ClientOptions makes a manager's client read unstructured objects from the cache, too.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{Unstructured: true}}
}

// Permissions are what an administrator lets rollouts make the manager do. The zero value permits nothing.
type Permissions struct {
	// Probes is where probes may be sent.
	Probes probe.Allow
	// Providers are the metric providers that rollouts may name.
	Providers measure.Providers
	// Sinks are the sinks of notifications that rollouts may name.
	Sinks notify.Sinks
	// Jobs is set if rollouts may run Jobs.
	Jobs bool
}

// NewReconciler returns a Reconciler on the clients of a manager. kinds are those of its CacheOptions, lease is its
// lease as namespace/name, and sharedMetrics is the namespace of CanaryMetrics with the scope Shared.
func NewReconciler(mgr ctrl.Manager, kinds *Kinds, lease, sharedMetrics string, permissions Permissions) *Reconciler {
	prober := probe.NewProber(permissions.Probes)
	var jobs *measure.Jobs
	if permissions.Jobs {
		rollout := func(ctx context.Context, key types.NamespacedName) (metav1.Object, error) {
			rollout := &observe.Rollout{}
			return rollout, mgr.GetClient().Get(ctx, key, rollout)
		}
		jobs = &measure.Jobs{Rollout: rollout, Live: mgr.GetAPIReader(), Writer: mgr.GetClient()}
	}
	runner := measure.NewRunner(permissions.Providers, jobs)
	notifier := notify.NewRunner(permissions.Sinks)
	return &Reconciler{
		Observer: &observe.Observer{
			Cache: mgr.GetClient(), Live: mgr.GetAPIReader(), Kinds: kinds, SharedMetrics: sharedMetrics,
			Normalizer: dryRun{mgr.GetClient()}, Tracker: &observe.Tracker{}, Features: observe.NewFeatures(mgr.GetAPIReader()),
			Pods: observe.NewPods(mgr.GetAPIReader()), Probes: prober, Measurements: runner,
			Notifications: notifier,
		},
		Applier: &apply.Applier{Writer: mgr.GetClient()},
		Manager: lease, otherManagers: otherManagers{self: lease},
		kinds:    kinds,
		Status:   mgr.GetClient().Status(),
		Recorder: mgr.GetEventRecorder(controllerName),
		Prober:   prober,
		Runner:   runner,
		Notifier: notifier,
		Clock:    clock.RealClock{},
		Compute:  plan.Compute,
	}
}

// SetupWithManager registers the indexes and the watches.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	if err := checkRolloutKind(mgr.GetRESTMapper()); err != nil {
		return err
	}
	for _, index := range observe.Indexes() {
		if err := mgr.GetFieldIndexer().IndexField(ctx, index.Object, index.Field, index.Values); err != nil {
			return fmt.Errorf("index %s: %w", index.Field, err)
		}
	}
	if err := startInformers(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := mgr.Add(r.Prober); err != nil {
		return fmt.Errorf("add the prober: %w", err)
	}
	if err := mgr.Add(r.Runner); err != nil {
		return fmt.Errorf("add the runner of measurements: %w", err)
	}
	if err := mgr.Add(r.Notifier); err != nil {
		return fmt.Errorf("add the runner of notifications: %w", err)
	}
	metrics.Export(func() []*v1alpha1.CanaryRollout { return r.exported(ctx, mgr.Elected()) })
	w := watches{mgr.GetCache(), r.Observer.SharedMetrics, r.Observer.Tracker}
	built, err := watchRollouts(builder.ControllerManagedBy(mgr).Named(controllerName), w.updated).
		Watches(observe.New(observe.ReplicaSetKind), w.enqueue(observe.ReplicaSetKind, ofReplicaSet)).
		Watches(&corev1.Service{}, w.enqueue(observe.ServiceKind, w.ofService)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(w.ofSlice)).
		Watches(&observe.Rollout{}, handler.EnqueueRequestsFromMapFunc(w.ofConflictingRollout),
			builder.WithPredicates(namesOtherServices)).
		WatchesRawSource(source.Channel(r.Prober.Results(), &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.Runner.Events(), &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.Notifier.Events(), &handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.kinds.lost, handler.EnqueueRequestsFromMapFunc(w.all))).
		WithOptions(controllerOptions(concurrency, r.Shard)).
		Build(r)
	if err != nil {
		return err
	}
	return r.setupKinds(ctx, mgr, func(kind schema.GroupVersionKind) error {
		of := w.ofRoute
		if kind == observe.MetricKind {
			of = w.ofMetric
		}
		return built.Watch(source.Kind(mgr.GetCache(), observe.Empty(kind), w.enqueue(kind, of)))
	})
}

// exported returns the rollouts of this manager that have gauges: none until it leads.
func (r *Reconciler) exported(ctx context.Context, elected <-chan struct{}) []*v1alpha1.CanaryRollout {
	select {
	case <-elected:
	default:
		return nil
	}
	rollouts, err := r.Observer.Rollouts(ctx)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot export the gauges of rollouts")
	}
	return slices.DeleteFunc(rollouts, func(rollout *v1alpha1.CanaryRollout) bool {
		return !r.Shard.Has(client.ObjectKeyFromObject(rollout))
	})
}

// setupKinds watches HTTPRoutes and CanaryMetrics from the start if they are served. If they are not, the manager works anyway:
// rollouts report what they wait for, and deleted ones must be able to go.
func (r *Reconciler) setupKinds(ctx context.Context, mgr ctrl.Manager, watch func(schema.GroupVersionKind) error) error {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make a discovery client: %w", err)
	}
	r.Observer.Schemas = observe.NewSchemas(client.OpenAPIV3WithContext(ctx))
	switch fields, err := missingFields(client.OpenAPIV3()); {
	case err != nil:
		ctrl.LoggerFrom(ctx).Info("The installed CustomResourceDefinition cannot be compared with this manager's", "reason", err.Error())
	case len(fields) > 0:
		ctrl.LoggerFrom(ctx).Error(nil, "The installed CustomResourceDefinition is older than this manager, and statuses cannot be "+
			"written: apply config/crd, or upgrade the chart with crds.install", "missing", fields)
	}
	r.kinds.discovery, r.kinds.cache, r.kinds.watch = client, mgr.GetCache(), watch
	if _, _, err := r.kinds.informer(ctx, observe.HTTPRouteKind.Kind); err != nil {
		ctrl.LoggerFrom(ctx).Info("HTTPRoutes cannot be watched yet: rollouts wait, deletions continue. Install the Gateway API "+
			"(https://gateway-api.sigs.k8s.io): it takes no restart", "reason", err.Error())
	}
	if _, _, err := r.kinds.informer(ctx, observe.MetricKind.Kind); err != nil {
		ctrl.LoggerFrom(ctx).Info("CanaryMetrics cannot be watched yet: rollouts that refer to one wait. It takes no restart", "reason", err.Error())
	}
	return nil
}

// namesOtherServices passes the updates of a rollout that may free a Service for another one: changes of the spec,
// and of the Services in memory.
var namesOtherServices = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(observe.ServicesOf(e.ObjectOld), observe.ServicesOf(e.ObjectNew))
	},
})

// startInformers registers all watched kinds with the cache from the start, so that a synced cache means all of them.
// Otherwise a process would briefly be ready before its watches have begun.
func startInformers(ctx context.Context, informers cache.Informers) error {
	for _, object := range []client.Object{
		&observe.Rollout{}, observe.New(observe.ReplicaSetKind), &corev1.Service{}, &discoveryv1.EndpointSlice{},
	} {
		if _, err := informers.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
	}
	return nil
}

// checkRolloutKind returns an error that says what to install if our own kind is missing, instead of letting a watch
// time out.
func checkRolloutKind(mapper meta.RESTMapper) error {
	if _, err := mapper.RESTMapping(observe.RolloutKind.GroupKind(), observe.RolloutKind.Version); err != nil {
		return fmt.Errorf("the CustomResourceDefinition of CanaryRollout is not installed: apply config/crd: %w", err)
	}
	return nil
}

// watches maps objects to the rollouts that name them.
type watches struct {
	client.Reader
	// sharedMetrics is the namespace of CanaryMetrics with the scope Shared.
	sharedMetrics string
	// tracker knows what this process wrote.
	tracker *observe.Tracker
}

// updated starts a pass of a rollout that has changed, unless a pass has just written what the event shows.
func (w watches) updated(rollout client.Object, q queue) {
	object := observe.Object{Kind: observe.RolloutKind, Name: rollout.GetName()}
	w.tracker.Judge(client.ObjectKeyFromObject(rollout), object, rollout.GetResourceVersion(), func() { enqueueRollout(rollout, q) })
}

// enqueue returns a handler that starts a pass of each rollout to which an object belongs, apart from those whose pass has just
// written what an event shows.
func (w watches) enqueue(kind schema.GroupVersionKind, of handler.MapFunc) handler.EventHandler {
	add := func(q queue, object client.Object, requests []reconcile.Request) {
		shown := observe.Object{Kind: kind, Name: object.GetName()}
		for request := range sets.New(requests...) {
			w.tracker.Judge(request.NamespacedName, shown, object.GetResourceVersion(), func() { q.Add(request) })
		}
	}
	all := handler.EnqueueRequestsFromMapFunc(of)
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			add(q, e.Object, of(ctx, e.Object))
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			add(q, e.ObjectNew, append(of(ctx, e.ObjectOld), of(ctx, e.ObjectNew)...))
		},
		DeleteFunc: all.Delete, GenericFunc: all.Generic,
	}
}

// ofReplicaSet maps by our label, which every ReplicaSet in the cache has. A deletion with --cascade=orphan removes
// the owner reference while the rollout still uses the ReplicaSet.
func ofReplicaSet(_ context.Context, replicaSet client.Object) []reconcile.Request {
	name := replicaSet.GetLabels()[v1alpha1.RolloutLabel]
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: replicaSet.GetNamespace(), Name: name}}}
}

func (w watches) ofService(ctx context.Context, service client.Object) []reconcile.Request {
	return w.naming(ctx, service.GetNamespace(), observe.IndexService, service.GetName())
}

func (w watches) ofSlice(ctx context.Context, slice client.Object) []reconcile.Request {
	return w.naming(ctx, slice.GetNamespace(), observe.IndexService, slice.GetLabels()[discoveryv1.LabelServiceName])
}

func (w watches) ofRoute(ctx context.Context, route client.Object) []reconcile.Request {
	return w.naming(ctx, route.GetNamespace(), observe.IndexRoute, route.GetName())
}

// ofMetric maps a CanaryMetric to the rollouts of its namespace that refer to it, and if it is shared, to those of all namespaces.
func (w watches) ofMetric(ctx context.Context, metric client.Object) []reconcile.Request {
	requests := w.naming(ctx, metric.GetNamespace(), observe.IndexMetric, observe.MetricKey(v1alpha1.MetricScopeNamespace, metric.GetName()))
	if metric.GetNamespace() == w.sharedMetrics {
		key := observe.MetricKey(v1alpha1.MetricScopeShared, metric.GetName())
		requests = append(requests, w.rollouts(ctx, client.MatchingFields{observe.IndexMetric: key})...)
	}
	return requests
}

// ofConflictingRollout maps a rollout to the others that name one of its Services. When it is deleted, or names another Service,
// one of them may take over.
func (w watches) ofConflictingRollout(ctx context.Context, rollout client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, service := range observe.ServicesOf(rollout) {
		for _, request := range w.naming(ctx, rollout.GetNamespace(), observe.IndexService, service) {
			if request.Name != rollout.GetName() {
				requests = append(requests, request)
			}
		}
	}
	return requests
}

// all returns every rollout in the cache.
func (w watches) all(ctx context.Context, _ client.Object) []reconcile.Request {
	return w.rollouts(ctx)
}

func (w watches) naming(ctx context.Context, namespace, index, name string) []reconcile.Request {
	return w.rollouts(ctx, client.InNamespace(namespace), client.MatchingFields{index: name})
}

func (w watches) rollouts(ctx context.Context, options ...client.ListOption) []reconcile.Request {
	list := &observe.RolloutList{}
	if err := w.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Cannot find the rollouts that a watch event is for")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}
