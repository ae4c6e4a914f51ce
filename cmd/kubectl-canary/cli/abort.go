// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
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
		c, err := action.Abort(r, reason, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
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
		c, err := action.Retry(r, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}
