// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

const (
	imageV1 = "istio/examples-bookinfo-reviews-v1:1.20.2"
	imageV2 = "istio/examples-bookinfo-reviews-v2:1.20.2"
	imageV0 = "istio/examples-bookinfo-reviews-v0:1.20.2"

	stableRevision = "7d5c8b6f4x"
	canaryRevision = "594c75879c"
	formerRevision = "66bd4k2vzq"
)

var now = time.Date(2030, 5, 17, 10, 30, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func microAgo(d time.Duration) *metav1.MicroTime { return &metav1.MicroTime{Time: now.Add(-d)} }

func hold() v1alpha1.Step { return v1alpha1.Step{Pause: &v1alpha1.Pause{}} }

func pauseFor(d time.Duration) v1alpha1.Step {
	return v1alpha1.Step{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: d}}}
}

func weight(percent int32) v1alpha1.Step { return v1alpha1.Step{SetWeight: &percent} }

func bookinfoSteps() []v1alpha1.Step {
	return []v1alpha1.Step{
		{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: ptr.To[int32](1)}},
		{SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{{
			Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "qa"}}}}}},
		hold(), weight(10), pauseFor(10 * time.Second), weight(40), pauseFor(10 * time.Minute), weight(100),
	}
}

func replicaSet(revision, image string, replicas, ready int32, age time.Duration) appsv1.ReplicaSet {
	return appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "reviews-" + revision, CreationTimestamp: ago(age),
			Labels: map[string]string{v1alpha1.RevisionLabel: revision, v1alpha1.RolloutLabel: "reviews"},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "reviews", Image: image}}}}},
		Status: appsv1.ReplicaSetStatus{Replicas: replicas, ReadyReplicas: ready, AvailableReplicas: ready},
	}
}

func pod(revision string, number int, age time.Duration, ready bool) corev1.Pod {
	condition := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if ready {
		condition.Status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("reviews-%s-k7x2%d", revision, number), CreationTimestamp: ago(age),
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "reviews-" + revision, Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "reviews"}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{condition},
			ContainerStatuses: []corev1.ContainerStatus{{Ready: ready}},
		},
	}
}

// healthy has a stable revision at rest, and a previous one.
func healthy() Rollout {
	rollout := Rollout{
		Object: &v1alpha1.CanaryRollout{
			ObjectMeta: metav1.ObjectMeta{Name: "reviews", Namespace: "shop", Generation: 4, CreationTimestamp: ago(50 * time.Hour)},
			Spec:       v1alpha1.CanaryRolloutSpec{Replicas: ptr.To[int32](3), Steps: bookinfoSteps()},
			Status: v1alpha1.CanaryRolloutStatus{
				ObservedGeneration: 4, State: v1alpha1.StateHealthy, Step: "8/8", Revision: stableRevision, Ready: "3/3",
				Message: "revision " + stableRevision + " serves all traffic", Images: imageV1,
				Stable:  &v1alpha1.RevisionStatus{Revision: stableRevision, Desired: 3, Replicas: 3, Ready: 3, Available: 3},
				Traffic: &v1alpha1.TrafficStatus{},
				History: []v1alpha1.HistoryEntry{
					{Revision: stableRevision, Images: imageV1, Outcome: v1alpha1.OutcomePromoted, StartedAt: ptr.To(ago(25 * time.Hour)), EndedAt: ptr.To(ago(24 * time.Hour)), StartedBy: "alice", EndedBy: "bob"},
					{Revision: formerRevision, Images: imageV0, Outcome: v1alpha1.OutcomePromoted, StartedAt: ptr.To(ago(50 * time.Hour)), EndedAt: ptr.To(ago(49 * time.Hour))},
				},
				Memory: &v1alpha1.Memory{
					Template:       v1alpha1.TemplateMemory{Revision: stableRevision},
					StableRevision: stableRevision, CurrentRevision: stableRevision, Phase: v1alpha1.PhaseIdle,
				},
			},
		},
		ReplicaSets: []appsv1.ReplicaSet{
			replicaSet(formerRevision, imageV0, 0, 0, 50*time.Hour), replicaSet(stableRevision, imageV1, 3, 3, 25*time.Hour),
		},
	}
	setWeight(&rollout.Object.Status, 100, 100)
	for i := range 3 {
		rollout.Pods = append(rollout.Pods, pod(stableRevision, i, 25*time.Hour, true))
	}
	return rollout
}

// setWeight sets the weight of the shown revision as the operator reports it.
func setWeight(status *v1alpha1.CanaryRolloutStatus, verified, desired int32) {
	status.Weight = fmt.Sprint(desired)
	if verified != desired {
		status.Weight = fmt.Sprintf("%d->%d", verified, desired)
	}
	status.RevisionWeight = &v1alpha1.RevisionWeight{Verified: verified, Desired: desired}
}

// stepping has a canary at a step, counted from 0, with the given numbers of ready and desired pods.
func stepping(index int, ready, desired int32) Rollout {
	rollout := healthy()
	rollout.Object.Generation, rollout.Object.Status.ObservedGeneration = 5, 5
	status := &rollout.Object.Status
	status.State, status.Revision = v1alpha1.StateProgressing, canaryRevision
	status.Step = fmt.Sprintf("%d/%d", index+1, len(rollout.Object.Spec.Steps))
	status.Ready = fmt.Sprintf("%d/%d", 3+ready, 3+desired)
	status.Canary = &v1alpha1.RevisionStatus{Revision: canaryRevision, Desired: desired, Replicas: desired, Ready: ready, Available: ready}
	status.Images += " -> " + imageV2
	status.History = append([]v1alpha1.HistoryEntry{{Revision: canaryRevision, Images: imageV2, Outcome: v1alpha1.OutcomeInProgress, StartedAt: ptr.To(ago(90 * time.Second)), StartedBy: "alice"}}, status.History...)
	for i := range int32(index) {
		status.StepHistory = append(status.StepHistory, v1alpha1.StepHistoryEntry{
			Step: i + 1, StartedAt: ptr.To(ago(90 * time.Second)), EndedAt: ptr.To(ago(80 * time.Second)), WaitingSeconds: 3,
		})
	}
	status.StepHistory = append(status.StepHistory, v1alpha1.StepHistoryEntry{Step: int32(index) + 1, StartedAt: ptr.To(ago(80 * time.Second))})
	memory := status.Memory
	memory.Template.Revision, memory.CurrentRevision, memory.Phase = canaryRevision, canaryRevision, v1alpha1.PhaseStepping
	memory.StepIndex = int32(index)
	rollout.ReplicaSets = append(rollout.ReplicaSets, replicaSet(canaryRevision, imageV2, desired, ready, 90*time.Second))
	for i := range desired {
		rollout.Pods = append(rollout.Pods, pod(canaryRevision, int(i), 80*time.Second, i < ready))
	}
	return rollout
}

const promoteByHand = "kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/promote=true"

// scenes returns the rollouts of the golden files.
func scenes() map[string]Rollout {
	return map[string]Rollout{
		"healthy": healthy(), "paused": paused(), "timed-pause": timedPause(), "stepping": weightStep(), "held": held(),
		"promoting": promoting(), "aborting": aborting(), "aborted": abortedScene(), "degraded": degraded(), "initializing": initializing(), "unseen": unseen(),
		"analyzing": analyzing(), "failed": failed(), "baking": baking(),
	}
}

func paused() Rollout {
	rollout := stepping(2, 1, 1)
	status := &rollout.Object.Status
	status.State = v1alpha1.StatePaused
	setWeight(status, 0, 0)
	status.Message = "paused until promoted: " + promoteByHand
	status.Traffic.HeaderRoutes = []string{"qa"}
	status.Pause = &v1alpha1.PauseStatus{Reason: "PauseStep", StartedAt: ptr.To(ago(time.Minute))}
	rollout.Flags = " -n shop"
	return rollout
}

func timedPause() Rollout {
	rollout := stepping(6, 2, 2)
	status := &rollout.Object.Status
	status.State = v1alpha1.StatePaused
	setWeight(status, 40, 40)
	status.Message = "paused until 10:33:21Z; to continue now: " + promoteByHand
	status.Pause = &v1alpha1.PauseStatus{Reason: "PauseStep", StartedAt: ptr.To(ago(399 * time.Second)), Until: ptr.To(ago(-201 * time.Second))}
	return rollout
}

func weightStep() Rollout {
	rollout := stepping(5, 1, 2)
	status := &rollout.Object.Status
	setWeight(status, 10, 40)
	status.Message = "waiting for 2 available pods of revision " + canaryRevision + ": 1 so far"
	return rollout
}

func held() Rollout {
	rollout := stepping(5, 2, 2)
	status := &rollout.Object.Status
	rollout.Object.Spec.Paused = true
	status.State = v1alpha1.StatePaused
	setWeight(status, 40, 40)
	status.Message = "held by spec.paused: set it to false to continue"
	status.Pause = &v1alpha1.PauseStatus{Reason: "SpecPaused"}
	return rollout
}

func promoting() Rollout {
	rollout := stepping(7, 3, 3)
	status := &rollout.Object.Status
	status.State, status.Memory.Phase = v1alpha1.StatePromoting, v1alpha1.PhasePromoting
	setWeight(status, 100, 100)
	status.Memory.StepIndex = 8
	status.Message = "weight 100 is verified and settles until 10:30:04Z"
	return rollout
}

func aborting() Rollout {
	rollout := stepping(0, 2, 2)
	status := &rollout.Object.Status
	status.State, status.Step = v1alpha1.StateAborting, "0/8"
	setWeight(status, 40, 0)
	status.Message = "waiting for HTTPRoute bookinfo-reviews to be accepted at generation 12"
	status.Memory.Phase, status.Memory.AbortedRevision, status.Memory.AbortReason = v1alpha1.PhaseRollingBack, canaryRevision, "too many errors"
	return rollout
}

func abortedScene() Rollout {
	rollout := aborting()
	status := &rollout.Object.Status
	status.State, status.Canary, status.Ready = v1alpha1.StateAborted, nil, "3/3"
	setWeight(status, 0, 0)
	status.Message = "revision " + canaryRevision + " was aborted (too many errors), revision " + stableRevision +
		" serves; apply another template, or: kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/retry=true"
	status.Memory.Phase, status.Memory.CurrentRevision = v1alpha1.PhaseIdle, stableRevision
	status.Memory.Draining = []v1alpha1.DrainMemory{{Revision: canaryRevision, Since: microAgo(23 * time.Second)}}
	status.History[0].Outcome, status.History[0].Message, status.History[0].EndedAt = v1alpha1.OutcomeAborted, "too many errors", ptr.To(ago(30*time.Second))
	return rollout
}

func degraded() Rollout {
	rollout := stepping(0, 0, 1)
	status := &rollout.Object.Status
	status.State = v1alpha1.StateDegraded
	setWeight(status, 0, 0)
	status.Message = "no progress within 10m0s: waiting for 1 available pod of revision " + canaryRevision + ": 0 so far"
	sick := &rollout.Pods[len(rollout.Pods)-1]
	sick.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 6, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container=reviews pod=reviews-594c75879c-k7x20_shop(0c8a)"}}}}
	return rollout
}

// metric is a metric of the background with a comparison.
func metric(verdict v1alpha1.MetricVerdict, failure, pass int32, message string) v1alpha1.MetricStatus {
	return v1alpha1.MetricStatus{
		Name: "errors", Scope: v1alpha1.MetricBackground, Verdict: verdict, Measurements: 12, FailureEvidence: failure, PassEvidence: pass, Message: message,
	}
}

// analyzing is at an analysis step, where one metric has passed, one is open and one cannot be measured.
func analyzing() Rollout {
	rollout := stepping(4, 1, 1)
	rollout.Object.Spec.Steps[4] = v1alpha1.Step{Analysis: &v1alpha1.AnalysisStep{
		Duration: metav1.Duration{Duration: 10 * time.Minute}, Metrics: []v1alpha1.Metric{{Name: "p95"}, {Name: "smoke"}, {Name: "checkout-conversion"}},
	}}
	status := &rollout.Object.Status
	setWeight(status, 10, 10)
	status.Message = "analysis: 1 of 3 metrics passed, until 10:36:00Z; p95: 1 of 3 measurements failed, the last result is 0.42"
	status.Analysis = []v1alpha1.MetricStatus{
		metric(v1alpha1.VerdictOpen, 61, 4, "5 of 1200 requests of the canary were bad (0.42 %), and 11 of 10800 of stable (0.1 %); "+
			"no verdict yet: the evidence is at 61 % of what a failure takes and at 4 % of what a pass takes"),
		{Name: "p95", Scope: v1alpha1.MetricStep, Verdict: v1alpha1.VerdictOpen, Value: "0.42", Measurements: 3, Failures: 1, FailureEvidence: 50, PassEvidence: 60,
			Message: "1 of 3 measurements failed, the last result is 0.42"},
		{Name: "smoke", Scope: v1alpha1.MetricStep, Verdict: v1alpha1.VerdictPassed, Measurements: 1, PassEvidence: 100, Value: "Job reviews-594c75879c-5-1-smoke completed",
			Message: "Job reviews-594c75879c-5-1-smoke completed"},
		{Name: "checkout-conversion", Scope: v1alpha1.MetricStep, Verdict: v1alpha1.VerdictOpen, Errors: 2,
			Message: "no usable answer (2 measurements in a row): the provider default does not answer: connection refused"},
	}
	return rollout
}

// failed was aborted by a metric.
func failed() Rollout {
	rollout := abortedScene()
	status := &rollout.Object.Status
	why := "14 of 420 requests of the canary were bad (3.3 %), and 3 of 3780 of stable (0.079 %); the chance that a good canary looks like this is at most 1 %"
	status.Message = "revision " + canaryRevision + " was aborted (metric errors failed: " + why + "), revision " + stableRevision +
		" serves; apply another template, or: kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/retry=true"
	status.Analysis = []v1alpha1.MetricStatus{metric(v1alpha1.VerdictFailed, 100, 0, why)}
	return rollout
}

// baking has moved all traffic, and keeps the former pods.
func baking() Rollout {
	rollout := promoting()
	status := &rollout.Object.Status
	status.Message = "revision " + canaryRevision + " serves all traffic and bakes until 11:00:00Z; to end the bake now: " + promoteByHand +
		"; to roll back: kubectl -n shop annotate canaryrollout reviews canaryrollout.dev/abort=true"
	before := metric(v1alpha1.VerdictPassed, 0, 100, "1 of 9000 requests of the canary were bad (0.011 %), and 9 of 90000 of stable (0.01 %)")
	after := metric(v1alpha1.VerdictOpen, 2, 30, "1 of 7000 requests since the promotion were bad (0.014 %), and 1 of 9000 before it (0.011 %)")
	after.Scope = v1alpha1.MetricBake
	status.Analysis = []v1alpha1.MetricStatus{before, after}
	return rollout
}

func initializing() Rollout {
	rollout := healthy()
	status := &rollout.Object.Status
	status.State, status.Stable, status.Ready = v1alpha1.StateInitializing, nil, "1/3"
	status.Weight, status.RevisionWeight = "", nil
	status.Message = "waiting for 3 available pods of revision " + stableRevision + ": 1 so far"
	status.History = []v1alpha1.HistoryEntry{{Revision: stableRevision, Images: imageV1, Outcome: v1alpha1.OutcomeInProgress, StartedAt: ptr.To(ago(8 * time.Second))}}
	status.Memory.StableRevision, status.Memory.Phase = "", v1alpha1.PhasePromoting
	rollout.Object.CreationTimestamp = ago(9 * time.Second)
	rollout.ReplicaSets = []appsv1.ReplicaSet{replicaSet(stableRevision, imageV1, 3, 1, 8*time.Second)}
	rollout.Pods = nil
	for i := range 3 {
		rollout.Pods = append(rollout.Pods, pod(stableRevision, i, 7*time.Second, i == 0))
	}
	rollout.Pods[2].Status = corev1.PodStatus{Phase: corev1.PodPending}
	return rollout
}

// unseen has not been observed by the operator yet.
func unseen() Rollout {
	rollout := healthy()
	rollout.Object.Status, rollout.ReplicaSets, rollout.Pods = v1alpha1.CanaryRolloutStatus{}, nil, nil
	return rollout
}
