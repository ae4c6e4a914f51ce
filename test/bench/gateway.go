// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

const (
	gatewayName = "bench"
	// controllerName is the name of this program in statuses.
	controllerName gatewayv1.GatewayController = "test.canaryrollout.dev/bench"
)

// weight is the share of the canary in a route, in percent, and when it appeared.
type weight struct {
	percent int32
	since   time.Time
}

// A gateway accepts every route at once, and sends no requests anywhere. The gateways of other tests do too much for each
// route to be used for a thousand of them.
type gateway struct {
	admin   client.Client
	weights *board[weight]
	// writing has the first error of a write.
	writing errgroup.Group
}

// install creates the objects of the gateway.
func (g *gateway) install(ctx context.Context) error {
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: gatewayName}}
	class.Spec.ControllerName = controllerName
	if err := g.admin.Create(ctx, class); err != nil {
		return fmt.Errorf("create the GatewayClass: %w", err)
	}
	class.Status.Conditions = []metav1.Condition{met("Accepted", 1)}
	if err := g.admin.Status().Update(ctx, class); err != nil {
		return fmt.Errorf("update the status of the GatewayClass: %w", err)
	}
	object := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Name: gatewayName, Namespace: cluster.GatewayNamespace}}
	object.Spec.GatewayClassName = gatewayName
	object.Spec.Listeners = []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}
	if err := g.admin.Create(ctx, object); err != nil {
		return fmt.Errorf("create the Gateway: %w", err)
	}
	object.Status.Conditions = []metav1.Condition{met("Accepted", 1), met("Programmed", 1)}
	if err := g.admin.Status().Update(ctx, object); err != nil {
		return fmt.Errorf("update the status of the Gateway: %w", err)
	}
	return nil
}

func met(kind string, generation int64) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, ObservedGeneration: generation, LastTransitionTime: metav1.Now()}
}

// see handles a watch event: it notes a new weight, and accepts a new generation.
func (g *gateway) see(ctx context.Context, route *gatewayv1.HTTPRoute) {
	now, percent := time.Now(), canaryWeight(route)
	g.weights.set(client.ObjectKeyFromObject(route), func(before weight) weight {
		if before.percent == percent && !before.since.IsZero() {
			return before
		}
		return weight{percent, now}
	})
	if !isAccepted(route) {
		g.writing.Go(func() error { return g.accept(ctx, route) })
	}
}

// canaryWeight returns 0 for a route that has no weights yet.
func canaryWeight(route *gatewayv1.HTTPRoute) int32 {
	refs := route.Spec.Rules[0].BackendRefs
	stable, canary := refs[0].Weight, refs[1].Weight
	if stable == nil || canary == nil || *stable+*canary == 0 {
		return 0
	}
	return 100 * *canary / (*stable + *canary)
}

func isAccepted(route *gatewayv1.HTTPRoute) bool {
	for _, parent := range route.Status.Parents {
		if parent.ControllerName == controllerName && parent.Conditions[0].ObservedGeneration == route.Generation {
			return true
		}
	}
	return false
}

// accept reports that the gateway serves this generation of the route. A newer one has its own event.
func (g *gateway) accept(ctx context.Context, route *gatewayv1.HTTPRoute) error {
	patch, err := json.Marshal(map[string]any{"status": gatewayv1.RouteStatus{Parents: []gatewayv1.RouteParentStatus{{
		ParentRef: route.Spec.ParentRefs[0], ControllerName: controllerName,
		Conditions: []metav1.Condition{met("Accepted", route.Generation), met("ResolvedRefs", route.Generation)},
	}}}})
	if err != nil {
		return err
	}
	written := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: route.Namespace, Name: route.Name}}
	if err := g.admin.Status().Patch(ctx, written, client.RawPatch(types.MergePatchType, patch)); err != nil && ctx.Err() == nil {
		return fmt.Errorf("accept route %s: %w", route.Name, err)
	}
	return nil
}
