// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// podCanary is a canary without Services and routes: its share of the requests is its share of the pods. It shows that a
// strategy needs nothing from gatewayCanary.
type podCanary struct{}

var _ strategy = podCanary{}

func (podCanary) begin(*transition, string)                             {}
func (podCanary) examine(v view) Observed                               { return v.in.Observed }
func (podCanary) handBackLeft(*writes)                                  {}
func (podCanary) write(*writes)                                         {}
func (podCanary) problem(view) *Problem                                 { return nil }
func (podCanary) exposure(v view) exposure                              { return exposure{verifyTimeout: v.spec.verifyTimeout} }
func (podCanary) report(*transition, *v1alpha1.TrafficStatus)           {}
func (podCanary) isReachable(view, string) bool                         { return false }
func (podCanary) isServing(view) gate                                   { return gate{} }
func (podCanary) canServe(v view, pods int32) gate                      { return v.sized(pods) }
func (podCanary) steady(v view) (time.Time, gate)                       { return v.mem.TransitionedAt.Time, gate{} }
func (podCanary) retarget(view) decision                                { return nil }
func (podCanary) failOver(view) decision                                { return nil }
func (podCanary) removeRefused(view) decision                           { return nil }
func (podCanary) prepare(view, int32) (decision, gate)                  { return nil, gate{} }
func (podCanary) mayLeave(view) bool                                    { return true }
func (podCanary) handBack(t *transition)                                { t.isReleased = true }
func (podCanary) release(*writes)                                       {}
func (podCanary) rollBackUnverified(*writes, *transition, Reason, bool) {}

func (podCanary) observe(t *transition) {
	t.recordVerification(!t.sized(t.podsFor(t.traffic().load())).shut)
}

func (podCanary) promote(t *transition) {
	if t.await(t.sized(t.spec.replicas)) {
		t.setTraffic(Traffic{})
		t.commit()
	}
}

func (podCanary) rollBack(t *transition) {
	t.setTraffic(Traffic{})
	t.rolledBack()
}

// TestSecondStrategy walks releases with another strategy. Commands, steps, pauses, sizes, draining, the history and the
// report are those of every release.
func TestSecondStrategy(t *testing.T) {
	percent := int32(50)
	for name, tc := range map[string]struct {
		command string
		stable  string
		want    []string
	}{
		"promoted": {"promote=true", "b", []string{
			EventStarted, EventStepCompleted + " setWeight 50", EventPaused, EventResumed, EventStepCompleted + " pause", EventPromoting, EventPromoted}},
		"aborted": {"abort=true", "a", []string{EventStarted, EventStepCompleted + " setWeight 50", EventPaused, EventAborting, EventAborted}},
	} {
		t.Run(name, func(t *testing.T) {
			in := idle(v1alpha1.Step{SetWeight: &percent}, pause(0))
			template("b")(&in)
			in.Prior.Memory.StableService, in.Prior.Memory.CanaryService = v1alpha1.ServiceMemory{}, v1alpha1.ServiceMemory{}
			var events []string
			for range 60 {
				plan := compute(in, podCanary{})
				for _, event := range plan.Events {
					text := event.Reason
					if _, step, found := strings.Cut(event.Message, " ("); found && event.Reason == EventStepCompleted {
						text += " " + step[:strings.Index(step, ")")]
					}
					events = append(events, text)
				}
				in.Prior, in.Now = plan.Status, in.Now.Add(5*time.Second)
				runPods(&in, plan.Actions)
				if plan.Status.Pause != nil && in.Prior.Memory.Command == nil {
					command(tc.command)(&in)
				}
			}
			if diff := cmp.Diff(tc.want, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if in.Prior.Memory.StableRevision != tc.stable || in.Prior.Memory.Phase != v1alpha1.PhaseIdle {
				t.Errorf("stable is %s in phase %s, want %s", in.Prior.Memory.StableRevision, in.Prior.Memory.Phase, tc.stable)
			}
			for _, rs := range in.Observed.ReplicaSets {
				if isStable := rs.Revision == tc.stable; isStable && rs.Desired != 4 || !isStable && rs.Desired != 0 {
					t.Errorf("revision %s has %d pods", rs.Revision, rs.Desired)
				}
			}
		})
	}
}

// runPods is a world without Services: pods become available, and annotations go.
func runPods(in *Input, actions []Action) {
	for _, action := range actions {
		switch act := action.(type) {
		case CreateReplicaSet:
			in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{Name: "reviews-" + act.Revision, Revision: act.Revision, Desired: act.Replicas, Current: true})
		case ScaleReplicaSet:
			i := slices.IndexFunc(in.Observed.ReplicaSets, func(rs ReplicaSet) bool { return rs.Name == act.Name })
			in.Observed.ReplicaSets[i].Desired = act.Replicas
		case RemoveAnnotations:
			in.Commands = Commands{}
		default:
		}
	}
	for i := range in.Observed.ReplicaSets {
		rs := &in.Observed.ReplicaSets[i]
		rs.Replicas, rs.Ready, rs.Available = rs.Desired, rs.Desired, rs.Desired
	}
}
