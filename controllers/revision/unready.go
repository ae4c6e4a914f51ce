// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Failure returns the error of the ReplicaSet controller when it cannot create pods: quota, Pod Security, admission. No
// pod shows it. It is empty if there are enough pods.
func Failure(desired int32, status appsv1.ReplicaSetStatus) string {
	for _, condition := range status.Conditions {
		if condition.Type == appsv1.ReplicaSetReplicaFailure && condition.Status == corev1.ConditionTrue && status.Replicas < desired {
			return condition.Message
		}
	}
	return ""
}

// Unready returns the most common reason why pods are not ready; empty if all are. It does not depend on the order of
// the pods, so it changes only when they do.
func Unready(pods []corev1.Pod) string {
	counts, examples := map[string]int{}, map[string]string{}
	unready := 0
	for i := range pods {
		reason, message := UnreadyReason(&pods[i])
		if reason == "" {
			continue
		}
		unready++
		counts[reason]++
		if example := examples[reason]; example == "" || message != "" && message < example {
			examples[reason] = message
		}
	}
	if unready == 0 {
		return ""
	}
	reasons := slices.Sorted(maps.Keys(counts))
	reason := slices.MaxFunc(reasons, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[a], counts[b]), cmp.Compare(b, a))
	})
	text := fmt.Sprintf("%d of %d unready pods: %s", counts[reason], unready, reason)
	if message := examples[reason]; message != "" {
		text += ": " + message
	}
	return text
}

// UnreadyReason returns why a pod is not ready, in one word, and the message of the scheduler or the kubelet. The
// reason is empty for a pod that is ready or being deleted.
func UnreadyReason(pod *corev1.Pod) (reason, message string) {
	if pod.DeletionTimestamp != nil || isTrue(pod, corev1.PodReady) {
		return "", ""
	}
	if scheduled := conditionOf(pod, corev1.PodScheduled); scheduled != nil && scheduled.Status == corev1.ConditionFalse {
		return cmp.Or(scheduled.Reason, corev1.PodReasonUnschedulable), scheduled.Message
	}
	if reason, message = stopped(pod.Status.InitContainerStatuses, "Init:"); reason != "" {
		return reason, message
	}
	if reason, message = stopped(pod.Status.ContainerStatuses, ""); reason != "" {
		return reason, message
	}
	if pod.Status.Reason != "" {
		return pod.Status.Reason, pod.Status.Message
	}
	if isTrue(pod, corev1.ContainersReady) {
		for _, gate := range pod.Spec.ReadinessGates {
			if !isTrue(pod, gate.ConditionType) {
				return "ReadinessGatesNotReady", fmt.Sprintf("condition %s is not True", gate.ConditionType)
			}
		}
	}
	if pod.Status.Phase == corev1.PodRunning {
		return "NotReady", "its containers run, and their readiness probes have not succeeded"
	}
	return cmp.Or(string(pod.Status.Phase), string(corev1.PodPending)), ""
}

// stopped returns why the first container that is not running is not. For a container in a restart loop, it returns how
// the last run ended, which is more helpful than the kubelet's back-off time.
func stopped(statuses []corev1.ContainerStatus, prefix string) (reason, message string) {
	for i := range statuses {
		status := &statuses[i]
		switch state, last := status.State, status.LastTerminationState.Terminated; {
		case state.Waiting != nil && state.Waiting.Reason != "" && state.Waiting.Reason != "PodInitializing":
			if last != nil {
				return prefix + state.Waiting.Reason, fmt.Sprintf("container %s: %s", status.Name, ended(last))
			}
			return prefix + state.Waiting.Reason, cmp.Or(state.Waiting.Message, "container "+status.Name)
		case state.Terminated != nil && state.Terminated.ExitCode != 0:
			return prefix + cmp.Or(state.Terminated.Reason, "Error"), fmt.Sprintf("container %s: %s", status.Name, ended(state.Terminated))
		}
	}
	return "", ""
}

func ended(state *corev1.ContainerStateTerminated) string {
	return fmt.Sprintf("exit code %d (%s)", state.ExitCode, cmp.Or(state.Reason, "Error"))
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	condition := conditionOf(pod, kind)
	return condition != nil && condition.Status == corev1.ConditionTrue
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
