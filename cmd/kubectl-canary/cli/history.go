// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// NewHistoryCommand returns the command that shows the last releases.
func NewHistoryCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use:     "history NAME",
		Short:   "Show the last ten releases of a rollout, and how they ended",
		Example: "  kubectl canary history reviews\n  kubectl canary history reviews --steps",
		Args:    oneName, ValidArgsFunction: o.completeRollouts,
	}
	var steps bool
	command.Flags().BoolVar(&steps, "steps", false, "Show the steps of the release in flight, or of the last one, instead: when each began, and how long it took.")
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.find(command.Context(), name)
		if err != nil {
			return err
		}
		if len(r.Status.History) == 0 {
			_, err := fmt.Fprintf(s.ErrOut, "Rollout %s has no releases yet.\n", name)
			return err
		}
		if steps {
			return s.print(view.StepHistory(s.style(), r.CanaryRollout, s.Now()))
		}
		return s.print(view.History(s.style(), r.CanaryRollout, s.Now()))
	})
	return command
}
