// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestRelease releases with the buttons of the page, loses and finds the connection, and aborts.
func TestRelease(t *testing.T) {
	a := harness.New(t, env, builder.Weight(20), builder.Hold(), builder.Weight(40), builder.Hold(), builder.Weight(60), builder.Hold())
	d := start(t)
	a.SetImage(builder.ImageV2)
	d.browse(t, "release.test.mjs", "DASHBOARD_NAMESPACE="+a.Namespace, "DASHBOARD_ADMIN="+string(cluster.Admin), "DASHBOARD_USER="+string(user))
	if last := a.Get().Status.History[0]; last.Outcome != v1alpha1.OutcomeAborted || !strings.Contains(last.Message, "too many errors") {
		t.Errorf("the history begins with %+v", last)
	}
	a.CheckRoute()
	a.CheckLoss()
}

const (
	// many is how many rollouts the list shows.
	many = 200
	// memoryBudget is the maximum private memory of the dashboard, in KiB.
	memoryBudget = 25 << 10
)

// TestMany shows a list of many rollouts, and the page of one of them. The dashboard asks the API server for what it shows and no
// more, and its memory has a budget.
func TestMany(t *testing.T) {
	namespace := "many"
	if err := env.Admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		rollout := builder.MakeRollout(namespace, fmt.Sprintf("reviews-%03d", i)).Replicas(0).Obj()
		if err := env.Admin.Create(t.Context(), rollout); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	d := start(t, "--namespace="+namespace)
	d.browse(t, "many.test.mjs", "DASHBOARD_NAMESPACE="+namespace, "DASHBOARD_COUNT="+strconv.Itoa(many))
	d.checkRequests(t, begun, namespace)
	d.checkMemory(t)
}

// checkRequests compares the requests in the audit log with those for the list and for one page.
func (d *dashboard) checkRequests(t *testing.T, begun time.Time, namespace string) {
	t.Helper()
	events, err := env.Cluster.Audited(func(event *auditv1.Event) bool {
		return event.User.Username == string(user) && event.RequestReceivedTimestamp.After(begun)
	})
	if err != nil {
		t.Fatal(err)
	}
	got, seen := map[string]int{}, map[types.UID]bool{}
	for _, event := range events {
		if seen[event.AuditID] {
			continue // a watch is logged when it begins, and when it ends
		}
		seen[event.AuditID] = true
		got[event.Verb+" "+event.ObjectRef.Resource+" in "+event.ObjectRef.Namespace]++
	}
	want := map[string]int{}
	for _, resource := range []string{"canaryrollouts", "replicasets", "pods", "events"} {
		for _, verb := range []string{"list", "watch"} {
			want[verb+" "+resource+" in "+namespace] = 1
		}
	}
	want["list canaryrollouts in "+namespace]++ // of one rollout, to see whether the user may
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests for the list of %d rollouts and for a page (-want +got):\n%s", many, diff)
	}
}

// checkMemory checks the memory that belongs to the process alone. About 38 MiB more are resident: pages of the file of the program,
// which the kernel maps ahead while it has room, and drops otherwise. So their number depends on the machine.
func (d *dashboard) checkMemory(t *testing.T) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.pid))
	if err != nil {
		t.Fatal(err)
	}
	var private int
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "Rss") {
			t.Log(strings.TrimSpace(line))
		}
		if kilobytes, is := strings.CutPrefix(line, "RssAnon:"); is {
			private, _ = strconv.Atoi(strings.Fields(kilobytes)[0])
		}
	}
	if private == 0 || private > memoryBudget {
		t.Errorf("the dashboard holds %d KiB of its own, and the budget is %d", private, memoryBudget)
	}
}
