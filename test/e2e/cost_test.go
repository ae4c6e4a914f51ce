// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cost"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// requests returns the operator's requests in a window.
func requests(t *testing.T, from, to time.Time) []auditv1.Event {
	t.Helper()
	events, err := env.Cluster.Audited(func(event *auditv1.Event) bool {
		at := event.RequestReceivedTimestamp.Time
		return cost.ByOperator(event) && at.After(from) && at.Before(to)
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// budget is the maximum cost of the full bookinfo release, by request:
//
//	1 dry run      recognizes the new template
//	6 ReplicaSet   created, then sized for 40, 60 and 100 %, marked as stable, and the former one scaled to zero
//	2 Services     the canary's before the first weight, the stable one's in the promotion
//	7 routes       header route, five weights, and back to 0 at the end of the promotion
//	1 annotation   of the promote command
//	1 read         of the live rollout before pods are created for it; and one whenever a watch lags far behind a write
//	status         each is a target that must be stored before an object is changed, or information for users
//	events         one for each transition
var budget = cost.Counts{
	"create replicasets (dry run)": 1,
	"create replicasets":           1,
	"patch replicasets":            5,
	"patch services":               2,
	"patch httproutes":             7,
	"patch canaryrollouts":         1,
	"get canaryrollouts":           3,
	"patch canaryrollouts/status":  50,
	"create events":                20,
}

// checkCost compares the operator's requests in the API server's audit log with the budget of the bookinfo release.
func checkCost(t *testing.T, a *harness.App, begun time.Time) {
	t.Helper()
	spent := cost.Count(requests(t, begun, time.Now()))
	t.Logf("%d requests for the release of the bookinfo sample:\n%s", spent.Total(), spent.Table())
	for _, over := range spent.Over(budget) {
		t.Error(over)
	}
	passes, err := cost.Passes(env.Operator.Log, a.Namespace, begun)
	if err != nil {
		t.Fatal(err)
	}
	if n := spent["patch canaryrollouts/status"]; n > passes {
		t.Errorf("%d status writes in %d passes", n, passes)
	}
}

// idle is the minimum window in which an operator must send no requests for healthy rollouts, except for its lease
// and its watches. Repeated aborts take about as long.
const idle = 45 * time.Second

// checkIdle checks every rollout that the tests have left at rest, except those in the busy namespace.
func checkIdle(t *testing.T, from time.Time, busy string) {
	t.Helper()
	select {
	case <-time.After(time.Until(from.Add(idle))):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	to := time.Now()
	spent := slices.DeleteFunc(requests(t, from, to), func(event auditv1.Event) bool {
		return event.ObjectRef != nil && event.ObjectRef.Namespace == busy
	})
	if len(spent) > 0 {
		t.Errorf("%d requests in %s at rest:\n%s", len(spent), to.Sub(from).Round(time.Second), cost.Count(spent).Table())
	}
}
