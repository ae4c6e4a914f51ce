// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// Promote ends the current pause, or skips all remaining steps if full is set. at is empty, or the revision and step at which
// the rollout should be, as in 594c75879c/3; flags are the connection flags for commands in the message.
//
// It returns the change, or an error if the operator would reject it.
func Promote(r *Rollout, full bool, at, flags string) (Change, error) {
	if err := r.checkObserved(); err != nil {
		return Change{}, err
	}
	memory := r.Status.Memory
	value := fmt.Sprintf("%s/%d", memory.CurrentRevision, memory.StepIndex+1)
	if full {
		value = memory.CurrentRevision + "/full"
	}
	if err := checkAt(r, full, at, value); err != nil {
		return Change{}, err
	}
	// The value without a revision is checked, so that the reason refers to what the user asked for.
	asked := map[bool]string{true: "full", false: "true"}[full]
	if why := r.refused(v1alpha1.PromoteAnnotation, asked); why != "" {
		return Change{}, r.refusal("promoted", why)
	}
	guards := guardMemory(r, "currentRevision", "stepIndex", "phase")
	return Change{
		Rollout: r, Patch: append(guards, annotate(r, v1alpha1.PromoteAnnotation, value)...),
		Message: promoteMessage(r, full, flags), Next: afterPromote(r, full),
	}, nil
}

// checkAt compares where the user expects the rollout to be with where it is.
func checkAt(r *Rollout, full bool, at, value string) error {
	if at == "" {
		return nil
	}
	is := value
	if full {
		is, _, _ = strings.Cut(value, "/")
		at, _, _ = strings.Cut(at, "/")
	}
	if at != is {
		return fmt.Errorf("%s was not promoted: it should be at %s, but is at %s", r.Name, at, is)
	}
	return nil
}

func promoteMessage(r *Rollout, full bool, flags string) string {
	revision := r.Status.Memory.CurrentRevision
	where := "at step " + r.Status.Step
	if full {
		where = "to the end"
	}
	return fmt.Sprintf("promoted %s %s (revision %s); next: %s. %s", r.Name, where, revision, afterPromote(r, full), follow(r, flags))
}

func afterPromote(r *Rollout, full bool) string {
	if full {
		return "it gets 100 % of the traffic, and then replaces " + r.Status.Memory.StableRevision
	}
	return nextStep(r)
}

// nextStep describes what follows the current step of a rollout.
func nextStep(r *Rollout) string {
	index, _ := plan.CurrentStep(r.CanaryRollout)
	if next := index + 1; next < len(r.Spec.Steps) {
		return view.Step(r.Spec.Steps[next])
	}
	return "the promotion, because all steps are done"
}

func follow(r *Rollout, flags string) string {
	return fmt.Sprintf("Follow it with: kubectl canary get %s -w%s", r.Name, flags)
}

// checkObserved returns an error if the operator has not observed the current spec: commands cannot be checked then.
func (r *Rollout) checkObserved() error {
	switch {
	case r.IsObserved():
		return nil
	case r.Status.Memory == nil:
		return fmt.Errorf("the operator has not processed rollout %s yet: check that it runs, and that it watches namespace %s", r.Name, r.Namespace)
	default:
		return fmt.Errorf("the operator has not processed the last change of rollout %s yet (generation %d, processed is %d): try again, or check that it runs",
			r.Name, r.Generation, r.Status.ObservedGeneration)
	}
}

// refusal returns an error that says what was not done, why, and where the rollout is.
func (r *Rollout) refusal(verb, why string) error {
	text := fmt.Sprintf("%s was not %s: %s", r.Name, verb, why)
	if r.Status.State != "" {
		text += fmt.Sprintf(" (it is %s", r.Status.State)
		if index, _ := plan.CurrentStep(r.CanaryRollout); index >= 0 && r.Status.Step != "" {
			text += " at step " + r.Status.Step
		}
		text += ")"
	}
	return errors.New(text)
}
