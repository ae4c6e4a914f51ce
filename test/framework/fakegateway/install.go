// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// features are the features that the class reports as supported.
var features = []gatewayv1.SupportedFeature{
	{Name: "Gateway"}, {Name: "HTTPRoute"}, {Name: "HTTPRouteMethodMatching"}, {Name: "HTTPRouteNamedRouteRule"},
	{Name: "HTTPRouteParentRefPort"}, {Name: "HTTPRouteQueryParamMatching"}, {Name: "HTTPRouteRequestMirror"},
	{Name: "HTTPRouteRequestPercentageMirror"}, {Name: "HTTPRouteRequestTimeout"},
}

// install creates the GatewayClass and the Gateways, each with one listener that accepts routes from every namespace,
// and reports them as accepted and programmed. The class has the name of the first Gateway.
func install(ctx context.Context, c client.Client, i identity) error {
	class := &gatewayv1.GatewayClass{ObjectMeta: metav1.ObjectMeta{Name: i.names[0]}}
	class.Spec.ControllerName = Controller
	if err := c.Create(ctx, class, owner); err != nil {
		return fmt.Errorf("the GatewayClass: %w", err)
	}
	class.Status = gatewayv1.GatewayClassStatus{SupportedFeatures: features, Conditions: met(class, "Accepted")}
	if err := c.Status().Update(ctx, class, owner); err != nil {
		return fmt.Errorf("the status of the GatewayClass: %w", err)
	}
	for _, name := range i.names {
		if err := i.installGateway(ctx, c, name); err != nil {
			return fmt.Errorf("Gateway %s: %w", name, err)
		}
	}
	return nil
}

func (i identity) installGateway(ctx context.Context, c client.Client, name string) error {
	made := &gatewayv1.Gateway{ObjectMeta: metav1.ObjectMeta{Namespace: i.namespace, Name: name}}
	made.Spec = gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(i.names[0]), Listeners: []gatewayv1.Listener{{
		Name: listenerName, Port: gatewayv1.PortNumber(i.port), Protocol: gatewayv1.HTTPProtocolType,
		AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: ptr.To(gatewayv1.NamespacesFromAll)}},
	}}}
	if err := c.Create(ctx, made, owner); err != nil {
		return err
	}
	made.Status = gatewayv1.GatewayStatus{
		Addresses:  []gatewayv1.GatewayStatusAddress{{Type: ptr.To(gatewayv1.IPAddressType), Value: "127.0.0.1"}},
		Conditions: met(made, "Accepted", "Programmed"),
		Listeners: []gatewayv1.ListenerStatus{{
			Name: listenerName, Conditions: met(made, "Accepted", "Programmed", "ResolvedRefs"),
			SupportedKinds: []gatewayv1.RouteGroupKind{{Group: ptr.To(gatewayv1.Group(gatewayv1.GroupName)), Kind: "HTTPRoute"}},
		}},
	}
	return c.Status().Update(ctx, made, owner)
}

// met returns conditions that are True, with their own names as reasons.
func met(object client.Object, names ...string) (conditions []metav1.Condition) {
	for _, name := range names {
		conditions = append(conditions, metav1.Condition{
			Type: name, Status: metav1.ConditionTrue, Reason: name, ObservedGeneration: object.GetGeneration(), LastTransitionTime: metav1.Now(),
		})
	}
	return conditions
}
