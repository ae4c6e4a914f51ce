// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// NewPromoteCommand returns the command that ends the current pause, or skips all remaining steps.
func NewPromoteCommand(o *Options) *cobra.Command {
	var full bool
	var at string
	command := &cobra.Command{
		Use:   "promote NAME",
		Short: "End the current pause of a rollout, or skip its remaining steps",
		Long: `End the current pause of a rollout, or with --full skip all remaining steps. Only steps are skipped, never a safety
rule: the operator still waits for pods, endpoints and weights.

The command applies only to the revision and the step that it finds, or that --at names. It does nothing if the rollout
has moved on.`,
		Example: `  kubectl canary promote reviews
  kubectl canary promote reviews --full
  kubectl canary promote reviews --at 594c75879c/3   # only if it is at that step, for scripts`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().BoolVar(&full, "full", false, "Skip the remaining steps.")
	command.Flags().StringVar(&at, "at", "", "Only if the rollout is at this REVISION/STEP, or with --full at this REVISION.")
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.findObserved(command.Context(), name)
		if err != nil {
			return err
		}
		c, err := promote(r, full, at, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}

// promote returns the change, or an error if the operator would reject it.
func promote(r *rollout, full bool, at, flags string) (change, error) {
	if err := r.checkObserved(); err != nil {
		return change{}, err
	}
	memory := r.Status.Memory
	value := fmt.Sprintf("%s/%d", memory.CurrentRevision, memory.StepIndex+1)
	if full {
		value = memory.CurrentRevision + "/full"
	}
	if err := checkAt(r, full, at, value); err != nil {
		return change{}, err
	}
	// The value without a revision is checked, so that the reason refers to what the user asked for.
	asked := map[bool]string{true: "full", false: "true"}[full]
	if why := r.refused(v1alpha1.PromoteAnnotation, asked); why != "" {
		return change{}, r.refusal("promoted", why)
	}
	guards := guardMemory(r, "currentRevision", "stepIndex", "phase")
	return change{
		rollout: r, patch: append(guards, annotate(r, v1alpha1.PromoteAnnotation, value)...),
		message: promoteMessage(r, full, flags),
	}, nil
}

// checkAt compares where the user expects the rollout to be with where it is.
func checkAt(r *rollout, full bool, at, value string) error {
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

func promoteMessage(r *rollout, full bool, flags string) string {
	revision := r.Status.Memory.CurrentRevision
	if full {
		return fmt.Sprintf("promoted %s to the end (revision %s); next: it gets 100 %% of the traffic, and then replaces %s. %s",
			r.Name, revision, r.Status.Memory.StableRevision, follow(r, flags))
	}
	return fmt.Sprintf("promoted %s at step %s (revision %s); next: %s. %s", r.Name, r.Status.Step, revision, nextStep(r), follow(r, flags))
}

// nextStep describes what follows the current step of a rollout.
func nextStep(r *rollout) string {
	index, _ := plan.CurrentStep(r.CanaryRollout)
	if next := index + 1; next < len(r.Spec.Steps) {
		return view.Step(r.Spec.Steps[next])
	}
	return "the promotion, because all steps are done"
}

func follow(r *rollout, flags string) string {
	return fmt.Sprintf("Follow it with: kubectl canary get %s -w%s", r.Name, flags)
}

// checkObserved returns an error if the operator has not observed the current spec: commands cannot be checked then.
func (r *rollout) checkObserved() error {
	switch {
	case r.isObserved():
		return nil
	case r.Status.Memory == nil:
		return fmt.Errorf("the operator has not processed rollout %s yet: check that it runs, and that it watches namespace %s", r.Name, r.Namespace)
	default:
		return fmt.Errorf("the operator has not processed the last change of rollout %s yet (generation %d, processed is %d): try again, or check that it runs",
			r.Name, r.Generation, r.Status.ObservedGeneration)
	}
}

// refusal returns an error that says what was not done, why, and where the rollout is.
func (r *rollout) refusal(verb, why string) error {
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
