// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"context"
	"encoding/json"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// owner is the field manager of statuses.
const owner = client.FieldOwner("fake-gateway")

// encode returns a route's status as JSON. The types omit an observedGeneration of 0, so it is added here for a
// gateway that writes it. Encoding them cannot fail.
func encode(parents []gatewayv1.RouteParentStatus, generations Generations) []byte {
	encoded, _ := json.Marshal(gatewayv1.RouteStatus{Parents: append([]gatewayv1.RouteParentStatus{}, parents...)})
	if generations != GenerationsZero {
		return encoded
	}
	var status struct {
		Parents []map[string]any `json:"parents"`
	}
	_ = json.Unmarshal(encoded, &status)
	for _, parent := range status.Parents {
		for _, item := range parent["conditions"].([]any) {
			if condition := item.(map[string]any); condition["observedGeneration"] == nil {
				condition["observedGeneration"] = 0
			}
		}
	}
	encoded, _ = json.Marshal(status)
	return encoded
}

// writeStatus writes a route's status, unless the route has changed since it was read, and returns the resulting
// route.
func writeStatus(ctx context.Context, c client.Client, route *gatewayv1.HTTPRoute, status []byte) (*gatewayv1.HTTPRoute, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": route.ResourceVersion, "uid": route.UID},
		"status":   json.RawMessage(status),
	})
	if err != nil {
		return nil, err
	}
	written := &gatewayv1.HTTPRoute{}
	written.Name, written.Namespace = route.Name, route.Namespace
	return written, c.Status().Patch(ctx, written, client.RawPatch(types.MergePatchType, patch), owner)
}
