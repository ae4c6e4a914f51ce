// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestOtherParents: in addition to its Gateways, a route is attached to a ListenerSet and to a Service, as in a mesh
// (GAMMA). A weight is verified when all parents have accepted it, and the status names one that has not.
func TestOtherParents(t *testing.T) {
	t.Parallel()
	set := gatewayv1.ParentReference{Group: ptr.To(gatewayv1.Group(gatewayv1.GroupName)), Kind: ptr.To(gatewayv1.Kind("ListenerSet")),
		Namespace: ptr.To(gatewayv1.Namespace(cluster.GatewayNamespace)), Name: "listeners"}
	service := gatewayv1.ParentReference{Group: ptr.To(gatewayv1.Group("")), Kind: ptr.To(gatewayv1.Kind("Service")), Name: "reviews-stable"}
	j := begin(t, fakegateway.Behaviour{}, harness.Options{Steps: atWeight(), Rate: rate}, set, service)
	j.toTheFirstPause("2/4")
	refuse := func(name string) {
		j.gateway.Behave(fakegateway.Behaviour{Refusals: map[string]fakegateway.Refusal{
			name: {Condition: "Accepted", Reason: "NotAllowedByListeners", Message: "not this one"},
		}})
	}
	refuse("listeners")
	since := j.goOn()
	j.says("ListenerSet "+cluster.GatewayNamespace+"/listeners: Accepted is False for generation ", 40)
	refuse("reviews-stable")
	j.says("Service reviews-stable: Accepted is False for generation ", 40)
	j.holds(since, 2*time.Second, isBeforeWeight)
	j.gateway.Behave(fakegateway.Behaviour{})
	j.WaitForPause("4/4")
	j.checkVerified(40, v1alpha1.ReasonVerified)
	j.finish()
}
