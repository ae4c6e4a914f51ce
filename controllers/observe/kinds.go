// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// The kinds that a rollout works with. ReplicaSets and routes are read unstructured, so that fields unknown to our types are kept.
// Rollouts, Services and EndpointSlices are read typed and stripped, CanaryMetrics typed.
var (
	RolloutKind    = v1alpha1.GroupVersion.WithKind("CanaryRollout")
	ReplicaSetKind = revision.ReplicaSetKind
	ServiceKind    = corev1.SchemeGroupVersion.WithKind("Service")
	HTTPRouteKind  = schema.GroupVersionKind{Group: gatewayv1.GroupName, Version: "v1", Kind: "HTTPRoute"}
	MetricKind     = v1alpha1.GroupVersion.WithKind("CanaryMetric")
)

// Kinds knows which of the kinds that may be missing the cluster serves: the kinds of routes, and CanaryMetric.
type Kinds interface {
	// Resolve returns the version in which to read and write a kind, and makes the cache hold it. The error says what
	// to do.
	Resolve(ctx context.Context, kind string) (schema.GroupVersionKind, error)
}

// New returns an empty object of a kind, to read into.
func New(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object
}

// Empty returns an empty object of a kind, as the cache holds it.
func Empty(kind schema.GroupVersionKind) client.Object {
	if kind == MetricKind {
		return &v1alpha1.CanaryMetric{}
	}
	return New(kind)
}

func newList(kind schema.GroupVersionKind) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	return list
}
