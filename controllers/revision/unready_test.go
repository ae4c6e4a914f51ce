// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podWith(status corev1.PodStatus) corev1.Pod { return corev1.Pod{Status: status} }

func waiting(reason, message string, last *corev1.ContainerStateTerminated) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: "app", LastTerminationState: corev1.ContainerState{Terminated: last},
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}
}

// TestUnready checks that the most common reason is returned, with the message of the scheduler or the kubelet, in
// words that do not depend on the order of the pods or the length of a back-off.
func TestUnready(t *testing.T) {
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message}
	}
	ready := podWith(corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady, "True", "", "")}})
	pending := podWith(corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		condition(corev1.PodScheduled, "False", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")}})
	pulling := podWith(corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
		waiting("ImagePullBackOff", `Back-off pulling image "reviews:v9"`, nil)}})
	crashing := podWith(corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
		waiting("CrashLoopBackOff", "back-off 40s restarting failed container", &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"})}})
	initializing := podWith(corev1.PodStatus{Phase: corev1.PodPending,
		InitContainerStatuses: []corev1.ContainerStatus{waiting("ErrImagePull", "no such image", nil)},
		ContainerStatuses:     []corev1.ContainerStatus{waiting("PodInitializing", "", nil)}})
	running := podWith(corev1.PodStatus{Phase: corev1.PodRunning})
	gated := podWith(corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{condition(corev1.ContainersReady, "True", "", "")}})
	gated.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/lb"}}
	going := running
	going.DeletionTimestamp = &metav1.Time{}
	for want, pods := range map[string][]corev1.Pod{
		"": {ready, going},
		"1 of 1 unready pods: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.":                 {ready, pending},
		`2 of 3 unready pods: ImagePullBackOff: Back-off pulling image "reviews:v9"`:                       {pulling, pending, pulling},
		"1 of 2 unready pods: CrashLoopBackOff: container app: exit code 137 (OOMKilled)":                  {pending, crashing},
		"1 of 1 unready pods: Init:ErrImagePull: no such image":                                            {initializing},
		"1 of 1 unready pods: NotReady: its containers run, and their readiness probes have not succeeded": {running},
		"1 of 1 unready pods: ReadinessGatesNotReady: condition example.com/lb is not True":                {gated},
		"2 of 2 unready pods: NotReady: its containers run, and their readiness probes have not succeeded": {running, running},
		"1 of 1 unready pods: Pending": {podWith(corev1.PodStatus{})},
	} {
		if got := Unready(pods); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
