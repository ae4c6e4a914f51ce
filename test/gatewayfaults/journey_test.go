// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// A journey is an app with its own gateway.
type journey struct {
	*harness.App
	t       *testing.T
	gateway *fakegateway.Gateway
	// parent is the gateway's name as it appears in messages; the second one's ends with harness.SecondGateway.
	parent string
	stable string
}

// begin deploys version 1 behind a gateway with this initial behaviour, which also implements the given parents.
func begin(t *testing.T, behaviour fakegateway.Behaviour, options harness.Options, parents ...gatewayv1.ParentReference) *journey {
	t.Helper()
	g := harness.StartGateway(t, env, behaviour, parents...)
	j := &journey{App: harness.Start(t, env, harness.Behind(g, options)), t: t, gateway: g, parent: "Gateway " + cluster.GatewayNamespace + "/" + harness.NamespaceOf(t)}
	j.stable = j.Stable()
	return j
}

// toTheFirstPause releases version 2 up to the first pause.
func (j *journey) toTheFirstPause(step string) {
	j.t.Helper()
	j.SetImage(builder.ImageV2)
	j.WaitForPause(step)
}

// goOn leaves a pause, and returns the time.
func (j *journey) goOn() time.Time {
	j.t.Helper()
	return j.Annotate(v1alpha1.PromoteAnnotation, "true")
}

// says waits until the message and the condition TrafficRouted name the parent and what is missing.
func (j *journey) says(want string, weight int32) {
	j.t.Helper()
	j.WaitFor("a message with "+want, func(s v1alpha1.CanaryRolloutStatus) bool {
		routed := trafficRouted(s)
		return s.Memory != nil && s.Memory.Traffic.Weight == weight && strings.Contains(s.Message, want) &&
			strings.Contains(routed.Message, want) && routed.Status == metav1.ConditionFalse && routed.Reason == v1alpha1.ReasonRouteNotVerified
	})
}

func trafficRouted(s v1alpha1.CanaryRolloutStatus) metav1.Condition {
	if found := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionTrafficRouted); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// holds waits for d, the time under test, and reports an error for every status since then that does not meet the
// condition.
func (j *journey) holds(since time.Time, d time.Duration, isAsItMustBe func(v1alpha1.CanaryRolloutStatus) bool) {
	j.t.Helper()
	select {
	case <-time.After(d):
	case <-j.t.Context().Done():
		j.t.Fatal(j.t.Context().Err())
	}
	for _, moment := range j.Moments() {
		if s := moment.Status; moment.At.After(since) && !isAsItMustBe(s) {
			j.t.Errorf("%s it went on all the same: %s step %s weight %s: %s", moment.At.Format("15:04:05.000"), s.State, s.Step, s.Weight, s.Message)
		}
	}
}

// finish completes the release behind a well-behaved gateway, and checks that no request was lost.
func (j *journey) finish() {
	j.t.Helper()
	j.goOn()
	j.CheckPromoted(j.stable)
	j.CheckLoss()
}
