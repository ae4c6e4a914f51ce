// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// otherManagers detects a second manager of the same rollouts, such as two releases of the chart with overlapping
// namespaces. Managers that share a lease take turns, and each status names the lease of its writer. A status with
// another lease is a second manager's only if it was written while this process was watching. Otherwise it is from an
// installation that is gone. Detection costs no request.
type otherManagers struct {
	// self is this manager's lease.
	self string

	mu sync.Mutex
	// known is the last status of each rollout if another manager wrote it, nil otherwise.
	known map[types.NamespacedName]*v1alpha1.CanaryRolloutStatus
}

// observe returns the other manager that has written the rollout's status since the previous call; empty if none has.
func (r *otherManagers) observe(rollout *v1alpha1.CanaryRollout) string {
	var foreign *v1alpha1.CanaryRolloutStatus
	if rollout.Status.Manager != "" && rollout.Status.Manager != r.self {
		foreign = &rollout.Status
	}
	key := types.NamespacedName{Namespace: rollout.Namespace, Name: rollout.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[types.NamespacedName]*v1alpha1.CanaryRolloutStatus{}
	}
	before, wasSeen := r.known[key]
	r.known[key] = foreign
	if foreign == nil || !wasSeen || before != nil && equality.Semantic.DeepEqual(before, foreign) {
		return ""
	}
	return foreign.Manager
}

func (r *otherManagers) forget(rollout types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, rollout)
}
