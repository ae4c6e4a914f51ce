// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// This file covers what users and other controllers do to the objects of an app.

// delete deletes an object in the app's namespace.
func (a *app) delete(name string, object client.Object) {
	a.t.Helper()
	object.SetNamespace(a.namespace)
	object.SetName(name)
	if err := env.Admin.Delete(context.WithoutCancel(a.t.Context()), object); err != nil {
		a.t.Fatal(err)
	}
}

// setBackends replaces the backends of the rule with the pair.
func (a *app) setBackends(backends string) {
	a.t.Helper()
	route := a.route(a.name)
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/rules/0/backendRefs","value":[%s]}]`, backends)
	if err := env.Admin.Patch(a.t.Context(), route, client.RawPatch("application/json-patch+json", patch)); err != nil {
		a.t.Fatal(err)
	}
}

// setSelector replaces the selector of a Service; null removes it.
func (a *app) setSelector(service, selector string) {
	a.t.Helper()
	object := &corev1.Service{}
	a.get(service, object)
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/selector","value":%s}]`, selector)
	if err := env.Admin.Patch(a.t.Context(), object, client.RawPatch("application/json-patch+json", patch)); err != nil {
		a.t.Fatal(err)
	}
}

// fail makes all pods of a revision fail, or reverts that.
func (a *app) fail(ctx context.Context, revision, value string) {
	a.t.Helper()
	for name := range a.podsOf(revision) {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: name}}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, cluster.Fail, value)
		if err := env.Admin.Patch(ctx, pod, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			a.t.Fatal(err)
		}
	}
}

// kubectl runs kubectl in the app's namespace.
func (a *app) kubectl(args ...string) string {
	a.t.Helper()
	return mustKubectl(a.t, "", append([]string{"-n", a.namespace}, args...)...)
}

func mergePatch(patch string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(patch))
}
