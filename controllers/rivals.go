// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// rivals notices a second manager that works on the same rollouts, as two releases of the chart with overlapping namespaces
// do. Managers that share a lease take turns; each status says which lease its writer has. A foreign one is a rival's only
// if it was written while this process looked: otherwise it is from an installation that has gone. It costs no request.
type rivals struct {
	// self is this manager's lease.
	self string

	mu sync.Mutex
	// known is the last status of each rollout that was another manager's; nil where there was none.
	known map[types.NamespacedName]*v1alpha1.CanaryRolloutStatus
}

// lookAt returns the manager that has written the rollout's status since this one looked first; empty if none has.
func (r *rivals) lookAt(rollout *v1alpha1.CanaryRollout) string {
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

func (r *rivals) forget(rollout types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, rollout)
}
