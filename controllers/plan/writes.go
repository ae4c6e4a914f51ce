// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// writes makes the actions of a pass. It knows the memory as last written and nothing of the next one, so a target stands
// in the status before an object is touched for it.
type writes struct {
	view
	notes
	actions []Action
}

func (w *writes) act(action Action) { w.actions = append(w.actions, action) }

// reconcile returns every object to its target.
func (w *writes) reconcile() {
	w.addFinalizer()
	w.setReplicas()
	w.strategy.write(w)
	w.removeCommands()
	w.writeReplicaSets()
}

func (w *writes) addFinalizer() {
	if !w.in.HasFinalizer {
		w.act(AddFinalizer{"traffic has to be handed back before the rollout goes"})
	}
}

// setReplicas makes the size that is in force visible to autoscalers, which read spec.replicas.
func (w *writes) setReplicas() {
	if w.in.Spec.Replicas == nil {
		w.act(SetReplicas{Reason: "spec.replicas is not set: the present size is kept", Replicas: w.spec.replicas})
	}
}
