// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// The bounds of the outbox.
const (
	// maxPending is how many transitions may wait to be delivered.
	maxPending = 32
	// maxTransitionMessage and maxTransitionImages are the sizes of the texts of a transition, in bytes of their JSON.
	maxTransitionMessage = 512
	maxTransitionImages  = 256
)

// notified are the transitions that an Event of the state machine is about.
var notified = map[string]v1alpha1.Transition{
	EventStarted:       v1alpha1.TransitionStarted,
	EventStepCompleted: v1alpha1.TransitionStepCompleted,
	EventResumed:       v1alpha1.TransitionResumed,
	EventPromoting:     v1alpha1.TransitionPromoting,
	EventBaking:        v1alpha1.TransitionBaking,
	EventPromoted:      v1alpha1.TransitionPromoted,
	EventAborting:      v1alpha1.TransitionAborting,
	EventAborted:       v1alpha1.TransitionAborted,
	EventRetried:       v1alpha1.TransitionRetried,
	EventSuperseded:    v1alpha1.TransitionSuperseded,
	EventReverted:      v1alpha1.TransitionReverted,
	EventRolledBack:    v1alpha1.TransitionRolledBack,
}

// IsTransition reports whether there is a transition of that name.
func IsTransition(name v1alpha1.Transition) bool {
	switch name {
	case v1alpha1.TransitionPaused, v1alpha1.TransitionHeld, v1alpha1.TransitionInconclusive, v1alpha1.TransitionDegraded, v1alpha1.TransitionRecovered:
		return true
	default:
		return slices.Contains(slices.Collect(maps.Values(notified)), name)
	}
}

// outbox has the transitions that wait to be delivered.
type outbox struct {
	*v1alpha1.NotificationsMemory
	subscriptions []v1alpha1.Notification
}

// notify removes from the memory of a status what was delivered, and adds the transitions of this move. A move of the state machine
// has an Event. The states that need a person also come and go with what is observed, so memory has which of them was recorded.
func (t *transition) notify(status *v1alpha1.CanaryRolloutStatus) {
	all := subscriptions(t.in)
	if status.Memory == nil || len(all) == 0 && status.Memory.Notifications == nil {
		return
	}
	if status.Memory.Notifications == nil {
		status.Memory.Notifications = &v1alpha1.NotificationsMemory{}
	}
	box := outbox{status.Memory.Notifications, all}
	if len(all) == 0 { // the numbers that were used must not be used again
		*box.NotificationsMemory = v1alpha1.NotificationsMemory{Sequence: box.Sequence, Dropped: box.Dropped}
		return
	}
	for _, delivered := range t.in.Observed.Delivered {
		box.accept(delivered)
	}
	for _, event := range t.events {
		if kind, isNotified := notified[event.Reason]; isNotified {
			box.record(t.described(kind, status, event.Message))
			box.endWait()
		}
	}
	lasting := t.lasting(status)
	if t.isTerminating() { // a deletion does not solve a problem
		lasting = box.Waits
	}
	if box.Waits == v1alpha1.TransitionDegraded && lasting != box.Waits {
		box.record(t.described(v1alpha1.TransitionRecovered, status, status.Message))
	}
	if lasting != "" && lasting != box.Waits {
		box.record(t.described(lasting, status, status.Message))
	}
	box.Waits = lasting
	if dropped := box.trim(); dropped > 0 {
		t.warnRepeated(EventNotificationsDropped, "notifications are dropped, oldest first, because more than %d wait for a sink", maxPending)
	}
}

// lasting returns the transition to the state that the rollout is in, if that state needs a person.
func (t *transition) lasting(status *v1alpha1.CanaryRolloutStatus) v1alpha1.Transition {
	step := t.pauseStep()
	switch {
	case status.State == v1alpha1.StateDegraded:
		return v1alpha1.TransitionDegraded
	case status.State != v1alpha1.StatePaused:
		return ""
	case t.paused == v1alpha1.ReasonInconclusive:
		return v1alpha1.TransitionInconclusive
	case t.paused == v1alpha1.ReasonSpecPaused:
		return v1alpha1.TransitionHeld
	case step != nil && step.Duration == nil:
		return v1alpha1.TransitionPaused
	default:
		return ""
	}
}

// described returns a transition with what its readers want to know. A move is about the newest release, which may have just ended.
func (t *transition) described(kind v1alpha1.Transition, status *v1alpha1.CanaryRolloutStatus, message string) v1alpha1.TransitionMemory {
	described := v1alpha1.TransitionMemory{
		Type: kind, At: t.now(), Generation: t.in.Generation, Revision: status.Revision, StableRevision: t.mem.StableRevision,
		Step: status.Step, Weight: status.RevisionWeight, Message: truncateJSON(message, maxTransitionMessage),
	}
	if len(t.history) > 0 && kind != v1alpha1.TransitionDegraded && kind != v1alpha1.TransitionRecovered {
		described.Revision, described.By = t.history[0].Revision, t.causedBy(kind)
	}
	described.Images = truncateJSON(t.images(described.Revision), maxTransitionImages)
	return described
}

// causedBy returns who caused a move, if that is known.
func (t *transition) causedBy(kind v1alpha1.Transition) string {
	switch kind {
	case v1alpha1.TransitionStarted:
		return t.history[0].StartedBy
	case v1alpha1.TransitionRetried:
		return t.startedBy
	case v1alpha1.TransitionResumed, v1alpha1.TransitionPromoting:
		return cmp.Or(t.mem.PromotedBy, t.history[0].EndedBy) // the end of a bake is the end of the release
	case v1alpha1.TransitionPromoted, v1alpha1.TransitionAborting, v1alpha1.TransitionAborted, v1alpha1.TransitionSuperseded,
		v1alpha1.TransitionReverted, v1alpha1.TransitionRolledBack:
		return t.history[0].EndedBy
	default:
		return ""
	}
}

// record adds a transition, if a sink wants it.
func (b outbox) record(transition v1alpha1.TransitionMemory) {
	if !slices.ContainsFunc(b.subscriptions, func(s v1alpha1.Notification) bool { return isWanted(s, transition.Type) }) {
		return
	}
	b.Sequence++
	transition.Sequence = b.Sequence
	b.Pending = append(b.Pending, transition)
}

// endWait makes the next wait for a person another one, also if there is none in between.
func (b outbox) endWait() {
	if b.Waits != v1alpha1.TransitionDegraded {
		b.Waits = ""
	}
}

// accept notes what a sink has accepted.
func (b outbox) accept(delivered Delivered) {
	sequence := min(delivered.Sequence, b.Sequence)
	if sequence <= b.delivered(delivered.Sink) {
		return
	}
	b.Sinks = slices.DeleteFunc(b.Sinks, func(sink v1alpha1.SinkMemory) bool { return sink.Name == delivered.Sink })
	b.Sinks = append(b.Sinks, v1alpha1.SinkMemory{Name: delivered.Sink, Delivered: sequence})
}

// trim removes what no sink awaits, and the oldest transitions if there are too many. It returns how many of these it has dropped.
func (b outbox) trim() (dropped int) {
	b.Pending = slices.DeleteFunc(b.Pending, func(transition v1alpha1.TransitionMemory) bool {
		return !slices.ContainsFunc(b.subscriptions, func(s v1alpha1.Notification) bool { return b.awaits(s, &transition) })
	})
	dropped = max(len(b.Pending)-maxPending, 0)
	b.Pending = slices.Delete(b.Pending, 0, dropped)
	b.Dropped += int64(dropped)
	b.Sinks = slices.DeleteFunc(b.Sinks, func(sink v1alpha1.SinkMemory) bool {
		isSubscribed := slices.ContainsFunc(b.subscriptions, func(s v1alpha1.Notification) bool { return s.Sink == sink.Name })
		return !isSubscribed || len(b.Pending) == 0 || sink.Delivered < b.Pending[0].Sequence
	})
	return dropped
}

// awaits reports whether a transition is still to be delivered to a sink.
func (b outbox) awaits(subscription v1alpha1.Notification, transition *v1alpha1.TransitionMemory) bool {
	return transition.Sequence > b.delivered(subscription.Sink) && isWanted(subscription, transition.Type)
}

func (b outbox) delivered(sink string) int64 {
	for i := range b.Sinks {
		if b.Sinks[i].Name == sink {
			return b.Sinks[i].Delivered
		}
	}
	return 0
}

func isWanted(subscription v1alpha1.Notification, kind v1alpha1.Transition) bool {
	return len(subscription.Transitions) == 0 || slices.Contains(subscription.Transitions, kind)
}
