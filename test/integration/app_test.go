// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// starting serializes the starts of the manager that all parallel tests share.
var starting sync.Mutex

// startManager installs and starts the manager if it is not running. It logs every pass, so that passes can be counted.
func startManager(t *testing.T) {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	if env.Operator != nil {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	if err := operator.Install(ctx, env.Cluster); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "", append([]string{"apply"}, jobRights...)...)
	var err error
	if env.Operator, err = operator.Start(ctx, env.Cluster, operator.Options{
		DetectsMutations: true, Args: []string{"--zap-log-level=debug", "--allow-jobs", "--notification-sinks=" + sinkFile(t)},
	}); err != nil {
		t.Fatal(err)
	}
}

// stopManager stops the manager as a kubelet does.
func stopManager() error {
	starting.Lock()
	defer starting.Unlock()
	if env.Operator == nil {
		return nil
	}
	running := env.Operator
	env.Operator = nil
	return running.Stop()
}

// app is a workload in its own namespace, with every published version of its CanaryRollout.
type app struct {
	t               *testing.T
	namespace, name string
	published       *publications
	// generation and version are those of the rollout after the test's last write: anything older is no response to
	// it.
	generation int64
	version    string
}

// workload has the Services and the route of a user.
const workload = builder.Services + "\n---\n" + userRoute

// userRoute has a filter and a second rule that must not change.
const userRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [%[2]s.%[1]s.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}]
    backendRefs:
    - {name: %[2]s-canary, port: 9080}
    - {name: %[2]s-stable, port: 9080}
  - matches: [{path: {type: PathPrefix, value: /other}}]
    backendRefs: [{name: %[2]s-stable, port: 9080}]
`

// newApp creates the user's objects, without a rollout.
func newApp(t *testing.T) *app {
	t.Helper()
	return newAppOf(t, workload)
}

func newAppOf(t *testing.T, manifests string) *app {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-", ",", "", "=", "").Replace(strings.TrimPrefix(t.Name(), "Test")))
	a := &app{t: t, namespace: name[:min(len(name), 60)], name: "reviews"}
	a.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}})
	a.apply(manifests)
	a.published = watch(t, a.namespace, a.name)
	t.Cleanup(a.cleanUp)
	return a
}

// parallel is newApp in a parallel test, with an operator.
func parallel(t *testing.T) *app {
	t.Helper()
	t.Parallel()
	startManager(t)
	return newApp(t)
}

// deployed returns an app whose first version is deployed, with these steps for the next one.
func deployed(t *testing.T, steps ...v1alpha1.Step) *app {
	t.Helper()
	a := parallel(t)
	a.deploy(a.make().Steps(steps...))
	a.waitForState(v1alpha1.StateHealthy)
	return a
}

// paused returns a deployed app with a release that is paused at a step.
func paused(t *testing.T, step string, steps ...v1alpha1.Step) *app {
	t.Helper()
	a := deployed(t, steps...)
	a.setImage(builder.ImageV2)
	a.waitForStep(v1alpha1.StatePaused, step)
	return a
}

// cleanUp checks what was published, and deletes the pods, and the routes, which the gateway would read again for each
// change of another app. The namespace stays: emptying it costs more than keeping it.
func (a *app) cleanUp() {
	if a.t.Failed() {
		a.t.Log("the last that was published:\n" + a.published.tail(6))
	}
	a.published.check(a.t)
	for _, kind := range []client.Object{&v1alpha1.CanaryRollout{}, &gatewayv1.HTTPRoute{}} {
		if err := env.Admin.DeleteAllOf(context.WithoutCancel(a.t.Context()), kind, client.InNamespace(a.namespace)); err != nil {
			a.t.Error(err)
		}
	}
}

func (a *app) make() *builder.Rollout { return builder.MakeRollout(a.namespace, a.name) }

func (a *app) deploy(rollout *builder.Rollout) {
	a.t.Helper()
	made := rollout.Obj()
	a.create(made)
	a.wrote(made)
}

func (a *app) create(object client.Object) {
	a.t.Helper()
	if err := env.Admin.Create(a.t.Context(), object); err != nil {
		a.t.Fatal(err)
	}
}

// apply applies manifests with placeholders for namespace and name, by force, as a GitOps tool may.
func (a *app) apply(manifests string) {
	a.t.Helper()
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(fmt.Appendf(nil, document+"\n# %[1]s %[2]s\n", a.namespace, a.name), object); err != nil {
			a.t.Fatal(err)
		}
		err := env.Admin.Apply(a.t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("user"), client.ForceOwnership)
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *app) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: a.namespace, Name: name}
}

// get reads an object of the app's namespace.
func (a *app) get(name string, into client.Object) {
	a.t.Helper()
	if err := env.Admin.Get(a.t.Context(), a.key(name), into); err != nil {
		a.t.Fatal(err)
	}
}

// rollout reads the current rollout.
func (a *app) rollout() *v1alpha1.CanaryRollout {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{}
	a.get(a.name, rollout)
	return rollout
}

// wrote records that only what is published from here on counts.
func (a *app) wrote(rollout *v1alpha1.CanaryRollout) {
	a.generation, a.version = rollout.Generation, rollout.ResourceVersion
}

// patch changes the rollout with a merge patch, as kubectl does.
func (a *app) patch(format string, args ...any) {
	a.t.Helper()
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: a.name}}
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, format, args...))
	if err := env.Admin.Patch(a.t.Context(), rollout, patch); err != nil {
		a.t.Fatal(err)
	}
	a.wrote(rollout)
}

func (a *app) annotate(key, value string) {
	a.t.Helper()
	a.patch(`{"metadata":{"annotations":{%q:%q}}}`, key, value)
}

func (a *app) setImage(image string) {
	a.t.Helper()
	a.patch(`{"spec":{"template":{"metadata":{"annotations":null},"spec":{"containers":[{"name":"app","image":%q}]}}}}`, image)
}

// setSick sets a template whose pods never become ready.
func (a *app) setSick(image string) {
	a.t.Helper()
	a.patch(`{"spec":{"template":{"metadata":{"annotations":{%q:"true"}},"spec":{"containers":[{"name":"app","image":%q}]}}}}`,
		cluster.NeverReady, image)
}

// barrier returns after two more reconciles. Anything that was in progress is done by then.
func (a *app) barrier() *v1alpha1.CanaryRollout {
	a.t.Helper()
	for _, limit := range []int{20, 21} {
		a.patch(`{"spec":{"revisionHistoryLimit":%d}}`, limit)
		a.waitFor("a pass", func(*v1alpha1.CanaryRollout) bool { return true })
	}
	return a.rollout()
}
