// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package routekinds

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// ratings is a second pair in the app's route.
const ratings = `
  - matches: [{path: {type: PathPrefix, value: /ratings}}]
    backendRefs:
    - {name: ratings-canary, port: 9080}
    - {name: ratings-stable, port: 9080}
`

// TestSharedRoute: two rollouts with one pair each in the same HTTPRoute release at the same time, with header routes
// of the same name. Neither changes the other's part, and both complete.
func TestSharedRoute(t *testing.T) {
	t.Parallel()
	shared := harness.HTTPRoute
	shared.Rules += ratings
	a := harness.Prepare(t, env, harness.Options{Kind: &shared, Rate: rate})
	steps := []v1alpha1.Step{
		builder.Scale(1), builder.HeaderRoute("qa", "role", "qa"), builder.Pause(3 * time.Second),
		builder.Weight(20), builder.Pause(4 * time.Second), builder.Weight(60), builder.Pause(4 * time.Second),
	}
	a.Create(a.Rollout(harness.Options{Steps: steps}))
	for _, name := range []string{"ratings-stable", "ratings-canary"} {
		service := a.GitService(name)
		service.Object["spec"].(map[string]any)["selector"] = map[string]any{"app": "ratings"}
		a.Create(service)
	}
	second := builder.MakeRollout(a.Namespace, "ratings").Replicas(2).Steps(steps...).Settle(1).ScaleDownDelay(3).
		Routes("bookinfo-reviews").Obj()
	builder.GracePeriod(second, 1)
	a.Create(second)
	healthy := func(image string) func() (bool, string) {
		return func() (bool, string) {
			if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(second), second); err != nil {
				return false, err.Error()
			}
			return second.Status.State == v1alpha1.StateHealthy && second.Status.Images == image, second.Status.Message
		}
	}
	a.WaitForState(v1alpha1.StateHealthy)
	a.Eventually("ratings to be deployed", healthy(builder.ImageV1))
	a.StartTraffic()
	traffic := a.Load(shared, "/ratings/0", rate)
	v1 := a.Stable()

	patch := client.MergeFrom(second.DeepCopy())
	builder.SetImage(second, builder.ImageV2)
	if err := env.Admin.Patch(t.Context(), second, patch); err != nil {
		t.Fatal(err)
	}
	a.SetImage(builder.ImageV2)
	a.Eventually("ratings to be released", healthy(builder.ImageV2))
	a.CheckPromoted(v1)
	a.CheckShares()
	a.CheckLoss()
	traffic.Stop()
	for _, failure := range traffic.Failures() {
		t.Errorf("lost: %s", failure)
	}
	t.Logf("requests for ratings: %s", traffic.Total())
	strays := traffic.Results(func(r load.Result) bool { return r.Err == nil && !strings.HasPrefix(r.Pod, "ratings-") })
	strays = append(strays, a.Traffic.Results(func(r load.Result) bool { return r.Err == nil && !strings.HasPrefix(r.Pod, "reviews-") })...)
	for _, stray := range strays {
		t.Errorf("answered by the other's pod: %s", stray)
	}
}
