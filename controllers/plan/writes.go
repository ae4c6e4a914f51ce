// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// writes makes the actions of a pass. It sees the memory as last written and not the next one, so a target is in the status
// before an object is changed for it.
type writes struct {
	view
	notes
	actions []Action
}

func (w *writes) act(action Action) { w.actions = append(w.actions, action) }

// reconcile brings every object to its target.
func (w *writes) reconcile() {
	w.addFinalizer()
	w.setReplicas()
	w.strategy.write(w)
	w.removeCommands()
	w.writeReplicaSets()
	w.strategy.handBackLeft(w)
}

func (w *writes) addFinalizer() {
	if !w.in.HasFinalizer {
		w.act(AddFinalizer{"traffic has to be handed back before the rollout is deleted"})
	}
}

// setReplicas writes the size in force to spec.replicas, where autoscalers read it.
func (w *writes) setReplicas() {
	if w.in.Spec.Replicas == nil {
		w.act(SetReplicas{Reason: "spec.replicas is not set: the current size is kept", Replicas: w.spec.replicas})
	}
}
