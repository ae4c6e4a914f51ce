// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestAdoption checks which running revision becomes the stable one while there is no memory: the one that the stable
// Service names, else the one with an equal template, else the one with the most ready pods.
func TestAdoption(t *testing.T) {
	owned := func(revision string, desired, ready int32) change {
		return func(in *Input) {
			in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{Name: "own-" + revision, Revision: revision, Desired: desired, Ready: ready})
		}
	}
	orphan := func(revision string, equal bool, ready int32) change {
		return func(in *Input) {
			in.Observed.Orphans = append(in.Observed.Orphans, Orphan{Name: "old-" + revision, Revision: revision, Equal: equal, Desired: 5, Ready: ready})
		}
	}
	named := func(revision string) change { return func(in *Input) { in.Observed.Stable.Revision = revision } }
	for name, tc := range map[string]struct {
		changes []change
		want    string // the stable revision, or none for a first deploy
		adopted []string
	}{
		"nothing runs":               {nil, "", nil},
		"equal":                      {[]change{orphan("x", false, 5), orphan("b", true, 1)}, "b", []string{"old-x", "old-b"}},
		"equal, none ready":          {[]change{orphan("x", false, 5), orphan("b", true, 0)}, "b", []string{"old-x", "old-b"}},
		"most ready":                 {[]change{orphan("z", false, 2), orphan("x", false, 5), orphan("y", false, 3)}, "x", []string{"old-z", "old-x", "old-y"}},
		"a tie":                      {[]change{orphan("y", false, 5), orphan("x", false, 5)}, "y", []string{"old-y", "old-x"}},
		"named over equal":           {[]change{owned("b", 4, 4), owned("x", 4, 2), named("x")}, "x", nil},
		"named, not ready":           {[]change{owned("b", 4, 4), owned("x", 4, 0), named("x")}, "no memory", nil},
		"our own, memory lost":       {[]change{owned("x", 4, 4)}, "x", nil},
		"our own, without pods":      {[]change{owned("x", 0, 0)}, "", nil},
		"our own and an orphan":      {[]change{owned("x", 4, 2), orphan("y", false, 3)}, "y", []string{"old-y"}},
		"the template cannot be had": {[]change{orphan("x", false, 5), template("")}, "no memory", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in := changed(firstDeploy(), func(in *Input) { in.Prior.Memory, in.Observed.ReplicaSets = nil, nil })
			got := Compute(changed(in, tc.changes...))
			stable := "no memory"
			if mem := got.Status.Memory; mem != nil {
				stable = mem.StableRevision
				if mem.StableService.Revision != stable || mem.CanaryService.Revision != stable {
					t.Errorf("Services %s/%s, want both at %q", mem.StableService.Revision, mem.CanaryService.Revision, stable)
				}
			}
			var adopted []string
			for _, action := range got.Actions {
				adopted = append(adopted, action.(AdoptReplicaSet).Name)
			}
			if diff := cmp.Diff([]any{tc.want, tc.adopted}, []any{stable, adopted}); diff != "" {
				t.Errorf("adoption differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReplicasUnset checks that a size stays until the spec sets another one: running pods are not scaled to a default when
// they are adopted, when memory was lost, or when spec.replicas is removed later. Autoscalers read spec.replicas, so it is
// set.
func TestReplicasUnset(t *testing.T) {
	unset := func(in *Input) { in.Spec.Replicas = nil }
	lost := func(in *Input) { in.Prior.Memory, in.Observed.ReplicaSets = nil, nil }
	orphans := func(in *Input) {
		in.Observed.Orphans = []Orphan{{Name: "x", Revision: "x", Desired: 3, Ready: 3}, {Name: "b", Revision: "b", Equal: true, Desired: 2, Ready: 2}}
	}
	one := func(in *Input) { in.Spec.Replicas = ptr.To[int32](1) }
	for name, tc := range map[string]struct {
		in    Input
		want  []string
		event string
	}{
		"adopted":       {changed(firstDeploy(), lost, orphans, unset), []string{"SetReplicas 5", "AdoptReplicaSet", "AdoptReplicaSet"}, "no pod restarts"},
		"adopted, cut":  {changed(firstDeploy(), lost, orphans, one), []string{"AdoptReplicaSet", "AdoptReplicaSet"}, "no pod restarts; spec.replicas scales it from 5 to 1 pod"},
		"memory lost":   {changed(idle(), unset, func(in *Input) { in.Prior.Memory = nil }), []string{"SetReplicas 4"}, "no pod restarts"},
		"first deploy":  {changed(firstDeploy(), lost, unset), []string{"SetReplicas 1"}, "first deploy of revision b (reviews:b)"},
		"taken out":     {changed(idle(), unset), []string{"SetReplicas 4"}, ""},
		"taken out, 0":  {changed(idle(), unset, pods("a", 0)), []string{"SetReplicas 0"}, ""},
		"in mid-canary": {changed(midway(50, weight(50)), unset), []string{"SetReplicas 4"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compute(tc.in)
			if diff := cmp.Diff(tc.want, described(got.Actions)); diff != "" {
				t.Errorf("actions differ (-want +got):\n%s", diff)
			}
			if tc.event != "" && (len(got.Events) != 1 || !strings.HasSuffix(got.Events[0].Message, tc.event)) {
				t.Errorf("events %v, want one that ends with %q", got.Events, tc.event)
			}
		})
	}
}

// TestFirstPass checks that the finalizer comes before everything else.
func TestFirstPass(t *testing.T) {
	for name, in := range map[string]Input{
		"no memory": changed(firstDeploy(), func(in *Input) { in.Prior.Memory, in.HasFinalizer = nil, false }),
		"later":     changed(midway(20, pause(0)), func(in *Input) { in.HasFinalizer = false }),
	} {
		if got := described(Compute(in).Actions); len(got) == 0 || got[0] != "AddFinalizer" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestIdle checks how an idle rollout handles the template. In Argo Rollouts, an aborted canary started again by itself
// (argo-rollouts#2929), grew with the replicas, and its Service moved back and forth while its pods were kept
// (argo-rollouts#4973, #3078); the next template did not start (#2048). An abort after the release deleted the stable pods
// (argo-rollouts#1292), or was carried out again and again (#2982).
func TestIdle(t *testing.T) {
	none := func(in *Input) { in.Spec.Replicas = ptr.To[int32](0); pods("a", 0)(in) }
	kept := func(in *Input) {
		in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, midway(50).Observed.ReplicaSets[1])
		in.Observed.ReplicaSets[1].Marks.AbortReason = in.Prior.Memory.AbortReason
		in.Prior.Memory.Draining = []v1alpha1.DrainMemory{{Revision: "b", Since: ago(1)}}
	}
	tenPods := func(in *Input) { in.Spec.Replicas = ptr.To[int32](10) }
	for name, tc := range map[string]planCase{
		"stable template":     {in: idle(pause(0)), targets: "Idle 0: 0% a/a"},
		"stable after abort":  {in: changed(idle(pause(0)), aborted("b")), targets: "Idle 0: 0% a/a"},
		"aborted":             {in: changed(idle(pause(0)), aborted("b"), template("b")), targets: "Idle 0: 0% a/a aborted b"},
		"aborted, grows":      {in: changed(idle(pause(0)), aborted("b"), template("b"), kept, tenPods), targets: "Idle 0: 0% a/a aborted b", actions: []string{"ScaleReplicaSet reviews-a replicas=10"}},
		"an abort":            {in: changed(idle(pause(0)), aborting), targets: "Idle 0: 0% a/a", actions: []string{"RemoveAnnotations canaryrollout.dev/abort"}},
		"another one":         {in: changed(idle(pause(0)), aborted("b"), template("c")), targets: "Stepping 0: 0% a/a"},
		"new":                 {in: changed(idle(pause(0)), template("b")), targets: "Stepping 0: 0% a/a"},
		"new, without pods":   {in: changed(idle(pause(0)), template("b"), none), targets: "Promoting 0: 0% a/a"},
		"new, spec.paused":    {in: changed(idle(pause(0)), template("b"), func(in *Input) { in.Spec.Paused = true }), targets: "Idle 0: 0% a/a"},
		"new, with a problem": {in: changed(idle(pause(0)), template("b"), func(in *Input) { in.Observed.Stable.Problem = &Problem{Reason: "x"} }), targets: "Idle 0: 0% a/a"},
		"not to be had":       {in: changed(idle(pause(0)), template("")), targets: "Idle 0: 0% a/a"},
	} {
		t.Run(name, tc.check)
	}
}

// TestWithoutPods checks that at 0 replicas a new template becomes stable without steps, Services and weight together.
func TestWithoutPods(t *testing.T) {
	none := func(in *Input) { in.Spec.Replicas = ptr.To[int32](0); pods("a", 0)(in); pods("b", 0)(in) }
	for name, tc := range map[string]planCase{
		"first":        {in: changed(promoting(0), none), targets: "Promoting 0: 0% b/b"},
		"then":         {in: changed(promoting(0), stableAt("b"), none), targets: "Idle 0: 0% b/b"},
		"not verified": {in: changed(promoting(0), stableAt("b"), none, unverified), targets: "Promoting 0: 0% b/b"},
	} {
		t.Run(name, tc.check)
	}
}

// TestFirstDeploy checks that a first deploy sets Services and routes together when its pods are available, and
// that a migration, which already has endpoints, follows T8.
func TestFirstDeploy(t *testing.T) {
	up := func(changes ...change) Input {
		return changed(firstDeploy(), append([]change{stableAt("b"), canaryAt("b")}, changes...)...)
	}
	for name, tc := range map[string]planCase{
		"pods not available":      {in: changed(firstDeploy(), alive("b", 3)), targets: "Promoting 0: 0% /"},
		"pods available":          {in: firstDeploy(), targets: "Promoting 0: 0% b/b"},
		"endpoints short":         {in: up(stableEndpoints("b", 3)), targets: "Promoting 0: 0% b/b"},
		"canary short":            {in: up(canaryEndpoints("b", 3)), targets: "Promoting 0: 0% b/b"},
		"settling":                {in: up(verified(4), memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt, m.CanaryService.ReadyAt = ago(9), ago(9) })), targets: "Promoting 0: 0% b/b", wake: time.Second},
		"settled":                 {in: up(memory(func(m *v1alpha1.Memory) { m.StableService.ReadyAt, m.CanaryService.ReadyAt = ago(9), ago(9) })), targets: "Idle 0: 0% b/b"},
		"migration, canary":       {in: changed(firstDeploy(), stableEndpoints("", 2)), targets: "Promoting 0: 0% /b"},
		"migration, 100":          {in: changed(promoting(0), unowned), targets: "Promoting 0: 100% /b"},
		"migration, the move":     {in: changed(promoting(100), unowned), targets: "Promoting 0: 100% b/b"},
		"migration, not verified": {in: changed(promoting(100), unowned, verified(4)), targets: "Promoting 0: 100% /b"},
	} {
		t.Run(name, tc.check)
	}
}

// unowned has pods behind the stable Service that are not ours.
func unowned(in *Input) {
	in.Prior.Memory.StableRevision, in.Prior.Memory.StableService = "", v1alpha1.ServiceMemory{Name: "reviews-stable"}
	in.Observed.Stable.Revision, in.Observed.ReplicaSets = "", in.Observed.ReplicaSets[1:]
	stableEndpoints("", 2)(in)
}

// TestHistoryLimit checks that the oldest ReplicaSets without pods are deleted, and none that is needed.
func TestHistoryLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		limit int32
		spare func(*ReplicaSet)
		want  []string
	}{
		"none kept":         {0, nil, []string{"DeleteReplicaSet old-3", "DeleteReplicaSet old-2", "DeleteReplicaSet old-1", "DeleteReplicaSet old-0"}},
		"two kept":          {2, nil, []string{"DeleteReplicaSet old-1", "DeleteReplicaSet old-0"}},
		"all kept":          {4, nil, nil},
		"one has pods":      {0, func(rs *ReplicaSet) { rs.Replicas = 1 }, []string{"DeleteReplicaSet old-3", "DeleteReplicaSet old-2", "DeleteReplicaSet old-0"}},
		"one gets pods":     {0, func(rs *ReplicaSet) { rs.Current = false }, []string{"DeleteReplicaSet old-3", "DeleteReplicaSet old-2", "DeleteReplicaSet old-0"}},
		"one is the spec's": {0, func(rs *ReplicaSet) { rs.Revision = "a" }, []string{"DeleteReplicaSet old-3", "DeleteReplicaSet old-2", "DeleteReplicaSet old-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := idle()
			in.Spec.RevisionHistoryLimit = &tc.limit
			for i := range 4 {
				old := ReplicaSet{Name: fmt.Sprintf("old-%d", i), Revision: fmt.Sprintf("r%d", i), Current: true, Created: epoch.Add(time.Duration(i) * time.Hour)}
				if i == 1 && tc.spare != nil {
					tc.spare(&old)
				}
				in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, old)
			}
			var got []string
			for _, text := range described(Compute(in).Actions) {
				if text[:6] == "Delete" {
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("deletions differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHistoryLength checks that the status keeps the last ten releases, the newest first.
func TestHistoryLength(t *testing.T) {
	in := changed(idle(pause(0)), template("b"))
	for i := range 10 {
		in.Prior.History = append(in.Prior.History, v1alpha1.HistoryEntry{Revision: fmt.Sprint(i), Outcome: v1alpha1.OutcomePromoted})
	}
	got := Compute(in).Status.History
	if len(got) != 10 || got[0].Revision != "b" || got[0].Outcome != v1alpha1.OutcomeInProgress || got[9].Revision != "8" {
		t.Errorf("%d entries, from %s (%s) to %s", len(got), got[0].Revision, got[0].Outcome, got[len(got)-1].Revision)
	}
}
