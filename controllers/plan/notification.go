// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Transitions are recorded in memory and delivered outside the passes (controllers/notify). What a sink has accepted comes back as an
// observation, and leaves the memory. So a transition is delivered only after it is written, and survives a restart.

// Sink is a sink of notifications that the administrator of the operator has named.
type Sink struct {
	Name string
	// IsDefault is set if a rollout of the namespace that names no sink has this one.
	IsDefault bool
	// Transitions are those that it gets as a default; all if there are none.
	Transitions []v1alpha1.Transition
}

// Delivery is what to deliver to a sink, in this order.
type Delivery struct {
	Sink        string
	Transitions []v1alpha1.TransitionMemory
	// Dropped is how many transitions of the rollout were dropped so far.
	Dropped int64
}

// Delivered is the last transition that a sink has accepted.
type Delivered struct {
	Sink     string
	Sequence int64
}

// Deliveries returns what to deliver, by the memory as it was last written.
func Deliveries(in *Input) []Delivery {
	memory := in.Prior.Memory
	if memory == nil || memory.Notifications == nil || len(memory.Notifications.Pending) == 0 || unsupported(memory) != "" {
		return nil
	}
	var deliveries []Delivery
	box := outbox{memory.Notifications, subscriptions(in)}
	for _, subscription := range box.subscriptions {
		delivery := Delivery{Sink: subscription.Sink, Dropped: box.Dropped}
		for i := range box.Pending {
			if box.awaits(subscription, &box.Pending[i]) {
				delivery.Transitions = append(delivery.Transitions, box.Pending[i])
			}
		}
		if len(delivery.Transitions) > 0 {
			deliveries = append(deliveries, delivery)
		}
	}
	return deliveries
}

// subscriptions returns the sinks of a rollout that exist: those that it names or, if it names none, the default ones.
func subscriptions(in *Input) []v1alpha1.Notification {
	var all []v1alpha1.Notification
	for _, sink := range in.Observed.Sinks {
		if len(in.Spec.Notifications) == 0 && sink.IsDefault {
			all = append(all, v1alpha1.Notification{Sink: sink.Name, Transitions: sink.Transitions})
		}
		for _, named := range in.Spec.Notifications {
			if named.Sink == sink.Name {
				all = append(all, named)
			}
		}
	}
	return all
}

// notifiedCondition names the sinks of the spec that do not exist.
func (s *summary) notifiedCondition() metav1.Condition {
	var missing []string
	for _, named := range s.in.Spec.Notifications {
		if !slices.ContainsFunc(s.in.Observed.Sinks, func(sink Sink) bool { return sink.Name == named.Sink }) {
			missing = append(missing, named.Sink)
		}
	}
	if len(missing) == 0 {
		return condition(v1alpha1.ConditionNotified, true, v1alpha1.ReasonSinksFound, "")
	}
	return condition(v1alpha1.ConditionNotified, false, v1alpha1.ReasonSinkNotFound, fmt.Sprintf(
		"spec.notifications names sinks that do not exist: %s; the administrator of the operator names sinks in the file of --notification-sinks",
		strings.Join(missing, ", ")))
}

// FollowingCommand is a command that can follow a transition.
type FollowingCommand struct {
	// Action is promote, promoteFull, abort or retry.
	Action string
	// Command is what to type.
	Command string
}

// FollowingCommands returns the commands that can follow a transition. One that promotes is for the revision and the step of the
// transition: a notification may be read late.
func FollowingCommands(namespace, name string, transition *v1alpha1.TransitionMemory) []FollowingCommand {
	command := func(action, annotation string) FollowingCommand {
		return FollowingCommand{action, AnnotateCommand(namespace, name, annotation)}
	}
	abort := command("abort", v1alpha1.AbortAnnotation+"=true")
	step, _, _ := strings.Cut(transition.Step, "/")
	promote := v1alpha1.PromoteAnnotation + "=" + transition.Revision
	isInFlight := transition.StableRevision != "" && transition.StableRevision != transition.Revision
	switch transition.Type {
	case v1alpha1.TransitionPaused, v1alpha1.TransitionInconclusive:
		return []FollowingCommand{command("promote", promote+"/"+step), command("promoteFull", promote+"/full"), abort}
	case v1alpha1.TransitionAborting, v1alpha1.TransitionAborted:
		return []FollowingCommand{command("retry", v1alpha1.RetryAnnotation+"=true")}
	case v1alpha1.TransitionPromoted, v1alpha1.TransitionSuperseded, v1alpha1.TransitionReverted, v1alpha1.TransitionRolledBack:
		return nil
	default:
		if isInFlight {
			return []FollowingCommand{abort}
		}
		return nil
	}
}
