// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	revisions "github.com/canaryrollout/canaryrollout/controllers/revision"
)

func desiredReplicas(set *appsv1.ReplicaSet) int32 { return ptr.Deref(set.Spec.Replicas, 1) }

// tree shows the rollout, its revisions, their ReplicaSets and their pods.
func (r Rollout) tree(s Style, now time.Time) []string {
	t := &table{shrink: []int{0}}
	header := plain("NAME", "STATUS", "READY", "RESTARTS", "AGE")
	if s.isWide() {
		header = append(header, cell{text: "INFO"})
		t.shrink = []int{5, 0}
	}
	for i := range header {
		header[i].color = bold
	}
	t.add(header...)
	status := r.Object.Status
	t.add(row(r.Object.Name, cell{stateWord(status), lookOf(status.State).color}, status.Ready, "",
		age(r.Object.CreationTimestamp.Time, now))...)
	all := r.revisions()
	for i, v := range all {
		v.add(t, s, i == len(all)-1, now)
	}
	return t.lines(s)
}

func row(name string, status cell, rest ...string) []cell {
	return append([]cell{{text: name}, status}, plain(rest...)...)
}

// branch returns the tree lines that lead to an entry, and those for the entries below it.
func (s Style) branch(prefix string, last bool) (to, below string) {
	switch {
	case !s.Rich:
		return prefix + "  ", prefix + "  "
	case last:
		return prefix + "└─ ", prefix + "   "
	default:
		return prefix + "├─ ", prefix + "│  "
	}
}

// add adds a revision and everything below it. A revision without pods takes one line.
func (v revision) add(t *table, s Style, last bool, now time.Time) {
	to, below := s.branch("", last)
	status := cell{v.words(now), v.role.color()}
	hasPods := v.set != nil && (desiredReplicas(v.set) > 0 || v.set.Status.Replicas > 0 || len(v.pods) > 0)
	created := ""
	if v.set != nil && !hasPods {
		created = age(v.set.CreationTimestamp.Time, now)
	}
	cells := row(to+"revision "+v.name, status, "", "", created)
	if s.isWide() && v.set != nil {
		cells = append(cells, cell{strings.Join(imagesOf(v.set), ", "), dim})
	}
	t.add(cells...)
	if hasPods {
		v.addReplicaSet(t, s, below, now)
	}
}

func (v revision) words(now time.Time) string {
	switch {
	case !v.scaledDownAt.IsZero():
		return fmt.Sprintf("%s, goes in %s", v.role, left(v.scaledDownAt, now))
	case v.role == roleFormer && (v.set == nil || v.set.Status.Replicas == 0):
		return "former, no pods"
	default:
		return string(v.role)
	}
}

func (v revision) addReplicaSet(t *table, s Style, prefix string, now time.Time) {
	to, below := s.branch(prefix, true)
	look, text := setLook(v.set)
	t.add(row(to+"ReplicaSet "+v.set.Name, cell{strings.TrimSpace(s.glyph(look.icon, "") + " " + text), look.color},
		fmt.Sprintf("%d/%d", v.set.Status.ReadyReplicas, desiredReplicas(v.set)), "", age(v.set.CreationTimestamp.Time, now))...)
	for i := range v.pods {
		addPod(t, s, below, &v.pods[i], i == len(v.pods)-1, now)
	}
}

func setLook(set *appsv1.ReplicaSet) (look, string) {
	desired := desiredReplicas(set)
	switch {
	case desired == 0:
		return look{"◌", dim}, "Scaling down"
	case set.Status.AvailableReplicas >= desired && set.Status.ObservedGeneration >= set.Generation:
		return look{"✔", green}, "Available"
	default:
		return look{"◌", yellow}, "Waiting"
	}
}

func addPod(t *table, s Style, prefix string, pod *corev1.Pod, last bool, now time.Time) {
	to, _ := s.branch(prefix, last)
	look, reason := podLook(pod)
	ready, restarts := 0, int32(0)
	for _, container := range pod.Status.ContainerStatuses {
		if container.Ready {
			ready++
		}
		restarts += container.RestartCount
	}
	cells := row(to+pod.Name, cell{strings.TrimSpace(s.glyph(look.icon, "") + " " + reason), look.color},
		fmt.Sprintf("%d/%d", ready, len(pod.Spec.Containers)), fmt.Sprint(restarts), age(pod.CreationTimestamp.Time, now))
	if s.isWide() {
		_, message := revisions.UnreadyReason(pod)
		cells = append(cells, cell{cmp.Or(message, pod.Status.Message), dim})
	}
	t.add(cells...)
}

// podLook describes a pod by what it waits for or why it failed, otherwise by its phase.
func podLook(pod *corev1.Pod) (look, string) {
	why, _ := revisions.UnreadyReason(pod)
	reason := cmp.Or(why, pod.Status.Reason, string(pod.Status.Phase), "Pending")
	switch {
	case pod.DeletionTimestamp != nil:
		return look{"◌", dim}, "Terminating"
	case why == "":
		return look{"✔", green}, reason
	case pod.Status.Phase == corev1.PodFailed, isTrouble(reason):
		return look{"✖", red}, reason
	default:
		return look{"◌", yellow}, reason
	}
}

// isTrouble reports whether a problem will not resolve by itself.
func isTrouble(reason string) bool {
	for _, sign := range []string{"BackOff", "Err", "Invalid", "OOMKilled", "Evicted", corev1.PodReasonUnschedulable} {
		if strings.Contains(reason, sign) {
			return true
		}
	}
	return false
}
