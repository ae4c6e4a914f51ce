// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// role is the current role of a revision.
type role string

const (
	roleStable     role = "stable"
	roleCanary     role = "canary"
	roleInitial    role = "first deploy"
	roleAborted    role = "aborted"
	roleSuperseded role = "superseded"
	roleDraining   role = "draining"
	roleFormer     role = "former"
)

func (r role) color() string {
	switch r {
	case roleStable:
		return green
	case roleCanary, roleInitial:
		return yellow
	case roleAborted:
		return red
	case roleSuperseded, roleDraining, roleFormer:
		return dim
	default:
		return ""
	}
}

// revision is a pod template with its ReplicaSet and pods.
type revision struct {
	name string
	role role
	set  *appsv1.ReplicaSet
	pods []corev1.Pod
	// scaledDownAt is when its pods are scaled down; zero if unknown.
	scaledDownAt time.Time
}

// revisions returns all known revisions, newest first.
func (r Rollout) revisions() []revision {
	var all []revision
	for i := range r.ReplicaSets {
		set := &r.ReplicaSets[i]
		all = append(all, revision{name: set.Labels[v1alpha1.RevisionLabel], set: set, pods: r.podsOf(set)})
	}
	for _, status := range []*v1alpha1.RevisionStatus{r.Object.Status.Canary, r.Object.Status.Stable} {
		if status != nil && !slices.ContainsFunc(all, func(known revision) bool { return known.name == status.Revision }) {
			all = append(all, revision{name: status.Revision})
		}
	}
	for i := range all {
		all[i].role, all[i].scaledDownAt = r.roleOf(all[i])
	}
	slices.SortStableFunc(all, func(a, b revision) int {
		return cmp.Or(cmp.Compare(r.rank(a.name), r.rank(b.name)), b.created().Compare(a.created()), cmp.Compare(a.name, b.name))
	})
	return all
}

// rank orders revisions by their last release.
func (r Rollout) rank(name string) int {
	history := r.Object.Status.History
	index := slices.IndexFunc(history, func(entry v1alpha1.HistoryEntry) bool { return entry.Revision == name })
	if index < 0 {
		return len(history)
	}
	return index
}

func (v revision) created() time.Time {
	if v.set == nil {
		return time.Time{}
	}
	return v.set.CreationTimestamp.Time
}

// podsOf returns the pods of a ReplicaSet, oldest first.
func (r Rollout) podsOf(set *appsv1.ReplicaSet) []corev1.Pod {
	var pods []corev1.Pod
	for _, pod := range r.Pods {
		if owner := metav1.GetControllerOf(&pod); owner != nil && owner.Kind == "ReplicaSet" && owner.Name == set.Name {
			pods = append(pods, pod)
		}
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

// roleOf derives the role from the memory. It also returns when the pods of a draining revision are scaled down.
func (r Rollout) roleOf(v revision) (role, time.Time) {
	memory := r.Object.Status.Memory
	if memory == nil {
		return roleFormer, time.Time{}
	}
	at := plan.ScaledDownAt(r.Object, v.name)
	switch {
	case v.name == memory.StableRevision:
		return roleStable, at
	case v.name == memory.AbortedRevision:
		return roleAborted, at
	case v.name == memory.CurrentRevision && memory.StableRevision == "":
		return roleInitial, at
	case v.name == memory.CurrentRevision && memory.Phase == v1alpha1.PhaseRollingBack:
		return roleSuperseded, at
	case v.name == memory.CurrentRevision:
		return roleCanary, at
	case v.set != nil && (desiredReplicas(v.set) > 0 || v.set.Status.Replicas > 0):
		return roleDraining, at
	default:
		return roleFormer, at
	}
}
