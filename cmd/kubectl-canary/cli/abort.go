// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// NewAbortCommand returns the command that moves all traffic back to the stable revision.
func NewAbortCommand(o *Options) *cobra.Command {
	var reason string
	command := &cobra.Command{
		Use:   "abort NAME",
		Short: "Return all traffic to the stable revision immediately",
		Example: `  kubectl canary abort reviews
  kubectl canary abort reviews --reason "too many errors"`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().StringVar(&reason, "reason", "", "The reason, which the status and the history show.")
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.findObserved(command.Context(), name)
		if err != nil {
			return err
		}
		c, err := abort(r, reason, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}

// guardsOfRelease test that the revisions are unchanged, and that nobody has requested another one since.
func guardsOfRelease(r *rollout) []jsonpatch.Operation {
	return append(guardMemory(r, "currentRevision", "stableRevision", "abortedRevision"), guard(r, "spec", "template"))
}

// abort returns the change. If the operator has not observed the latest spec, the abort is written unchecked: it may be
// needed while the operator is down.
func abort(r *rollout, reason, flags string) (change, error) {
	value := cmp.Or(reason, "true")
	if r.Status.Memory == nil {
		return change{}, r.checkObserved()
	}
	if why := r.refused(v1alpha1.AbortAnnotation, value); why != "" && r.isObserved() {
		return change{}, r.refusal("aborted", why)
	}
	revision, stable := cmp.Or(r.target(), r.Status.Memory.CurrentRevision), r.Status.Memory.StableRevision
	return change{
		rollout: r, patch: append(guardsOfRelease(r), annotate(r, v1alpha1.AbortAnnotation, value)...),
		message: fmt.Sprintf("aborted %s (revision %s); next: all traffic returns to revision %s. %s", r.Name, revision, stable, follow(r, flags)),
	}, nil
}

// NewRetryCommand returns the command that restarts an aborted revision.
func NewRetryCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use:     "retry NAME",
		Short:   "Start an aborted revision again at its first step",
		Example: "  kubectl canary retry reviews",
		Args:    oneName, ValidArgsFunction: o.completeRollouts,
	}
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.findObserved(command.Context(), name)
		if err != nil {
			return err
		}
		c, err := retry(r, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}

func retry(r *rollout, flags string) (change, error) {
	if err := r.checkObserved(); err != nil {
		return change{}, err
	}
	if why := r.refused(v1alpha1.RetryAnnotation, "true"); why != "" {
		return change{}, r.refusal("retried", why)
	}
	return change{
		rollout: r, patch: append(guardsOfRelease(r), annotate(r, v1alpha1.RetryAnnotation, "true")...),
		message: fmt.Sprintf("retrying revision %s of %s; next: %s. %s", r.Status.Memory.AbortedRevision, r.Name, firstStep(r), follow(r, flags)),
	}, nil
}

// firstStep describes how a release begins.
func firstStep(r *rollout) string {
	if len(r.Spec.Steps) == 0 {
		return "its pods, then the promotion, because there are no steps"
	}
	return fmt.Sprintf("step 1/%d, %s", len(r.Spec.Steps), view.Step(r.Spec.Steps[0]))
}
