// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// requests returns the operator's requests in a window, from the API server's audit log. It skips watches and leases.
func requests(t *testing.T, from, to time.Time) []auditv1.Event {
	t.Helper()
	events, err := env.Cluster.Audited(func(event *auditv1.Event) bool {
		at := event.RequestReceivedTimestamp.Time
		return event.Stage == auditv1.StageResponseComplete && event.User.Username == cluster.OperatorUsername &&
			event.Verb != "watch" && !isLease(*event) && at.After(from) && at.Before(to)
	})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func isLease(event auditv1.Event) bool {
	return event.ObjectRef != nil && event.ObjectRef.Resource == "leases"
}

func kind(event auditv1.Event) string {
	if event.ObjectRef == nil {
		return event.Verb + " " + event.RequestURI
	}
	resource := event.ObjectRef.Resource
	if event.ObjectRef.Subresource != "" {
		resource += "/" + event.ObjectRef.Subresource
	}
	if strings.Contains(event.RequestURI, "dryRun=All") {
		resource += " (dry run)"
	}
	return event.Verb + " " + resource
}

func table(events []auditv1.Event) string {
	counts := map[string]int{}
	for _, event := range events {
		counts[kind(event)]++
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%4d  %s", counts[k], k))
	}
	return strings.Join(lines, "\n")
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
var budget = map[string]int{
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

// TestCost counts the operator's requests in the API server's audit log: for the full bookinfo release, and for
// rollouts at rest while another one is aborted repeatedly, for which there must be none.
func TestCost(t *testing.T) {
	a := harness.New(t, env, bookinfoSteps()...)
	v1 := a.Stable()
	begun := time.Now()
	a.SetImage(builder.ImageV2)
	a.WaitForPause("3/12")
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(v1)
	a.CheckLoss()
	spent := requests(t, begun, time.Now())
	t.Logf("%d requests for the release of the bookinfo sample:\n%s", len(spent), table(spent))
	counts := map[string]int{}
	for _, event := range spent {
		counts[kind(event)]++
	}
	for k, n := range counts {
		if n > budget[k] {
			t.Errorf("%d × %s, and the budget is %d", n, k, budget[k])
		}
	}
	if n, passes := counts["patch canaryrollouts/status"], passesSince(t, begun); n > passes {
		t.Errorf("%d status writes in %d passes", n, passes)
	}
	resting := time.Now()
	if t.Run("AbortLatency", abortLatency) {
		checkIdle(t, resting, "cost-abortlatency")
	}
}

// passesSince counts the operator's reconciles of the test's rollout in its log.
func passesSince(t *testing.T, from time.Time) int {
	t.Helper()
	content, err := os.ReadFile(env.Operator.Log)
	if err != nil {
		t.Fatal(err)
	}
	passes := 0
	for line := range bytes.Lines(content) {
		var entry struct {
			TS                   time.Time
			Msg, Namespace, Name string
		}
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "Planned" && entry.Namespace == "cost" && entry.TS.After(from) {
			passes++
		}
	}
	return passes
}

// idle is the minimum window in which an operator must send no requests for healthy rollouts, except for its lease
// and its watches.
const idle = time.Minute

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
		t.Errorf("%d requests in %s at rest:\n%s", len(spent), to.Sub(from).Round(time.Second), table(spent))
	}
}
