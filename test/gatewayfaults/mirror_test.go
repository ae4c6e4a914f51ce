// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package gatewayfaults

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	canaryService = "reviews-canary"
	// copied is the mirror percentage of these tests.
	copied = 50
)

// TestMirror mirrors requests to the canary before it gets any traffic, and leaves no trace in the route however the
// release ends (plugin#32, plugin#229: Argo Rollouts' plugin silently ignores mirrors).
func TestMirror(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*journey){
		"promoted": func(j *journey) { j.goOn(); j.CheckPromoted(j.stable) },
		"full": func(j *journey) {
			j.Annotate(v1alpha1.PromoteAnnotation, "full")
			j.CheckPromoted(j.stable)
		},
		"aborted": func(j *journey) {
			j.Annotate(v1alpha1.AbortAnnotation, "true")
			j.WaitForState(v1alpha1.StateAborted)
		},
		"reverted": func(j *journey) { j.SetImage(builder.ImageV1); j.WaitForState(v1alpha1.StateHealthy) },
		"deleted":  func(j *journey) { j.DeleteOrphaning() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := begin(t, fakegateway.Behaviour{}, harness.Options{Rate: rate, Steps: []v1alpha1.Step{
				builder.Mirror(copied), builder.HeaderRoute("qa", "role", "qa"), builder.Hold(), builder.Mirror(0), builder.Weight(40),
			}})
			before := specOf(j)
			j.toTheFirstPause("3/5")
			j.checkCopies()
			j.CheckRoute()
			end(j)
			if after := specOf(j); after != before {
				t.Errorf("the route was not left as it was:\nwas %s\nis  %s", before, after)
			}
			ended := j.gateway.Mirrored(canaryService)
			j.Answers(2 * rate)
			if more := j.gateway.Mirrored(canaryService) - ended; more > 0 {
				t.Errorf("%d requests were copied after the end", more)
			}
			j.CheckLoss()
		})
	}
}

func specOf(j *journey) string {
	j.t.Helper()
	encoded, err := json.Marshal(j.Route().Object["spec"])
	if err != nil {
		j.t.Fatal(err)
	}
	return string(encoded)
}

// checkCopies compares the number of copies with the percentage, while the stable revision gives every answer that
// clients receive.
func (j *journey) checkCopies() {
	j.t.Helper()
	const requests = 160
	since, before := time.Now(), j.gateway.Mirrored(canaryService)
	j.Answers(requests)
	got, want := float64(j.gateway.Mirrored(canaryService)-before), float64(requests)*copied/100
	// 99.9 % of runs are closer, plus requests in flight when counting starts and ends.
	if limit := 3.3*math.Sqrt(float64(requests)*0.25) + 5; math.Abs(got-want) > limit {
		j.t.Errorf("%.0f of %d requests were copied, want %.0f within %.0f", got, requests, want, limit)
	}
	j.CheckNever(j.Get().Status.Canary.Revision, since, time.Now())
	if s := j.Get().Status.Traffic; s.MirrorPercent != copied {
		j.t.Errorf("the status has a mirror of %d", s.MirrorPercent)
	}
}

// TestMirrorNotSupported: a class publishes its features without mirrors. The first deploy, which skips the steps, is
// not held. The step is held, the status gives the reason, and the rollout continues by itself when the class
// supports mirrors.
func TestMirrorNotSupported(t *testing.T) {
	t.Parallel()
	g := harness.StartGateway(t, env, fakegateway.Behaviour{})
	features := setFeatures(t, []gatewayv1.SupportedFeature{{Name: "HTTPRoute"}})
	options := harness.Behind(g, harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Mirror(copied), builder.Hold()}})
	j := &journey{App: harness.Prepare(t, env, options), t: t, gateway: g, parent: "Gateway " + cluster.GatewayNamespace + "/" + harness.NamespaceOf(t)}
	j.Create(j.Rollout(options))
	j.WaitForState(v1alpha1.StateHealthy)
	j.StartTraffic()
	j.stable = j.Stable()
	before := specOf(j)
	j.SetImage(builder.ImageV2)
	want := fmt.Sprintf("GatewayClass %s of %s publishes its supported features", harness.NamespaceOf(t), j.parent)
	j.WaitFor("a message with "+want, func(s v1alpha1.CanaryRolloutStatus) bool {
		stalled := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled)
		return s.State == v1alpha1.StateDegraded && strings.Contains(s.Message, want) &&
			stalled != nil && stalled.Reason == v1alpha1.ReasonMirrorNotSupported
	})
	if after := specOf(j); after != before {
		t.Errorf("the route was written:\nwas %s\nis  %s", before, after)
	}
	setFeatures(t, features)
	j.WaitForPause("2/2")
	j.checkCopies()
	j.finish()
}

// TestMirrorRefused: a gateway publishes no features and refuses a mirror when it is written. The mirror is removed
// from the route again, the status reports what was refused, and the release continues when the mirror is removed
// from the steps.
func TestMirrorRefused(t *testing.T) {
	t.Parallel()
	j := begin(t, fakegateway.Behaviour{NoMirrors: true}, harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Mirror(copied), builder.Hold()}})
	before := specOf(j)
	j.SetImage(builder.ImageV2)
	j.WaitFor("a message that names the mirror", func(s v1alpha1.CanaryRolloutStatus) bool {
		stalled := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionStalled)
		return s.State == v1alpha1.StateDegraded && strings.Contains(s.Message, "a gateway refused setMirrorRoute 50 in HTTPRoute") &&
			strings.Contains(s.Message, "requests cannot be copied here") && stalled != nil && stalled.Reason == v1alpha1.ReasonStepRefused &&
			s.Memory.Traffic.VerifiedAt != nil
	})
	if after := specOf(j); after != before {
		t.Errorf("the route was not left as it was:\nwas %s\nis  %s", before, after)
	}
	j.Patch(`{"spec":{"steps":[{"setWeight":40},{"pause":{}}]}}`)
	j.WaitForPause("2/2")
	j.finish()
}

// setFeatures sets the published features of the test gateway's class, and returns the previous ones.
func setFeatures(t *testing.T, features []gatewayv1.SupportedFeature) []gatewayv1.SupportedFeature {
	t.Helper()
	class := &gatewayv1.GatewayClass{}
	if err := env.Admin.Get(t.Context(), client.ObjectKey{Name: harness.NamespaceOf(t)}, class); err != nil {
		t.Fatal(err)
	}
	before := class.Status.SupportedFeatures
	class.Status.SupportedFeatures = features
	if err := env.Admin.Status().Update(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	return before
}
