// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
)

// The budget of a release of ten weights, so that no change makes releases more expensive unnoticed. Lower it when a release gets
// cheaper. On a quiet machine the release takes 16 status writes and 33 passes. If the machine is so busy that the gateway takes
// a second for a weight, the operator reports in between that it waits. TestCost of package plan compares exactly what does not
// depend on the machine.
var (
	requestsBudget = cost.Counts{
		"create replicasets (dry run)": 1,
		"create replicasets":           1,
		"patch replicasets":            2, // marked as stable, and the former one scaled to zero
		"patch services":               2,
		"patch httproutes":             11, // ten weights, and back to 0 at the end of the promotion
		"get canaryrollouts":           1,
		"patch canaryrollouts/status":  24,
		"create events":                4,
	}
	passesBudget = 42
)

// TestCost compares what a release of ten weights costs with its budget: requests by kind, and passes. Times are not
// compared, because they depend on the machine: see test/bench.
func TestCost(t *testing.T) {
	var steps []v1alpha1.Step
	for weight := range int32(10) {
		steps = append(steps, builder.Weight(10*weight+10))
	}
	a := parallel(t)
	a.deploy(a.make().Replicas(1).Steps(steps...))
	a.waitForState(v1alpha1.StateHealthy)
	former := a.barrier().Status.Stable.Revision // what the first deploy has left to do is not counted
	begun := time.Now()
	a.setImage(builder.ImageV2)
	a.waitForStable(builder.ImageV2)
	a.within(patience, "the old pods to go", func() (bool, string) { return len(a.podsOf(former)) == 0, "" })
	events, err := env.Cluster.Audited(func(event *auditv1.Event) bool {
		return cost.ByOperator(event) && event.ObjectRef != nil && event.ObjectRef.Namespace == a.namespace &&
			event.RequestReceivedTimestamp.After(begun)
	})
	if err != nil {
		t.Fatal(err)
	}
	passes, err := cost.Passes(env.Operator.Log, a.namespace, begun)
	if err != nil {
		t.Fatal(err)
	}
	spent := cost.Count(events)
	t.Logf("%d passes and %d requests:\n%s", passes, spent.Total(), spent.Table())
	for _, over := range spent.Over(requestsBudget) {
		t.Error(over)
	}
	if passes == 0 || passes > passesBudget {
		t.Errorf("%d passes, and the budget is %d", passes, passesBudget)
	}
}
