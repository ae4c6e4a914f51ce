// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gateways

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/builder"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/gateway"
)

// A journey is an app behind a gateway of its own.
type journey struct {
	*app.App
	t       *testing.T
	gateway *gateway.Gateway
	// parent is the gateway's as messages name it; the second one's ends with app.SecondGateway.
	parent string
	stable string
}

// begin deploys version 1 behind a gateway that behaves like that from the beginning, and that stands for other parents, too.
func begin(t *testing.T, behaviour gateway.Behaviour, options app.Options, parents ...gatewayv1.ParentReference) *journey {
	t.Helper()
	g := app.StartGateway(t, env, behaviour, parents...)
	j := &journey{App: app.Start(t, env, app.Behind(g, options)), t: t, gateway: g, parent: "Gateway " + cluster.GatewayNamespace + "/" + app.NamespaceOf(t)}
	j.stable = j.Stable()
	return j
}

// toTheFirstPause releases version 2 until its steps pause first.
func (j *journey) toTheFirstPause(step string) {
	j.t.Helper()
	j.SetImage(builder.ImageV2)
	j.WaitForPause(step)
}

// goOn leaves a pause, and says when.
func (j *journey) goOn() time.Time {
	j.t.Helper()
	return j.Annotate(v1alpha1.PromoteAnnotation, "true")
}

// says waits until the message, and the condition TrafficRouted with its reason, tell what is missing, by whom.
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

// holds lets some time pass, which is what is tested here, and says when the rollout was not as it had to be since then.
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

// finish lets the release come to its end behind a gateway that behaves, and checks that nothing was lost on the way.
func (j *journey) finish() {
	j.t.Helper()
	j.goOn()
	j.CheckPromoted(j.stable)
	j.CheckLoss()
}
