// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
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
		c, err := action.Promote(r, full, at, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}
