// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Seen is where a rollout was when a user decided. An action that is given it applies to that, or not at all.
type Seen struct {
	UID types.UID `json:"uid"`
	// Template is the revision of spec.template; Revision is the one in flight, or the stable one.
	Template string `json:"template,omitempty"`
	Revision string `json:"revision,omitempty"`
	// Step is the index of the current step, counted from 0.
	Step  int32          `json:"step"`
	Phase v1alpha1.Phase `json:"phase,omitempty"`
}

// NewSeen returns where a rollout is.
func NewSeen(rollout *v1alpha1.CanaryRollout) Seen {
	seen := Seen{UID: rollout.UID}
	if memory := rollout.Status.Memory; memory != nil {
		seen.Template, seen.Revision = memory.Template.Revision, memory.CurrentRevision
		seen.Step, seen.Phase = memory.StepIndex, memory.Phase
	}
	return seen
}

// CheckStep returns an error if the rollout is at another step than the one seen, or at another revision.
func (s Seen) CheckStep(r *Rollout) error {
	if err := s.CheckRelease(r); err != nil {
		return err
	}
	if is := NewSeen(r.CanaryRollout); is.Step != s.Step || is.Phase != s.Phase {
		return fmt.Errorf("%s has moved on since you looked: it is %s, at step %s", r.Name, r.Status.State, r.Status.Step)
	}
	return nil
}

// CheckAbort is CheckRelease, but allows a new template that the operator has not processed: an abort may be needed while the
// operator is down.
func (s Seen) CheckAbort(r *Rollout) error {
	if is := NewSeen(r.CanaryRollout); !r.IsObserved() && is.UID == s.UID && is.Revision == s.Revision {
		return nil
	}
	return s.CheckRelease(r)
}

// CheckRelease returns an error if the rollout has another revision or another template than the one seen. Steps may have passed.
func (s Seen) CheckRelease(r *Rollout) error {
	is := NewSeen(r.CanaryRollout)
	switch {
	case is.UID != s.UID:
		return fmt.Errorf("%s was deleted and created again since you looked", r.Name)
	case is.Revision != s.Revision:
		return fmt.Errorf("%s has moved on since you looked: revision %s is current", r.Name, is.Revision)
	case r.Target() != s.Template && !r.IsObserved():
		return r.checkObserved()
	case r.Target() != s.Template:
		return fmt.Errorf("the template of %s has changed since you looked", r.Name)
	default:
		return nil
	}
}
