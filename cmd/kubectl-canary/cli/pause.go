// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
)

// NewPauseCommand returns the command that pauses a rollout by spec.paused.
func NewPauseCommand(o *Options) *cobra.Command {
	return pauseCommand(o, "pause NAME", "Stop steps and promotions where they are (spec.paused)",
		"Stop steps and promotions where they are, by spec.paused. Restoring overwritten objects, abort, scaling and deletion still work.", action.Pause)
}

// NewResumeCommand returns the command that removes spec.paused.
func NewResumeCommand(o *Options) *cobra.Command {
	return pauseCommand(o, "resume NAME", "Undo a pause by spec.paused",
		"Undo kubectl canary pause: spec.paused is removed. To end a pause step, use promote.", action.Resume)
}

func pauseCommand(o *Options, use, short, long string, decide func(*action.Rollout, string) (action.Change, error)) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Long: long, Args: oneName, ValidArgsFunction: o.completeRollouts}
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.find(command.Context(), name)
		if err != nil {
			return err
		}
		c, err := decide(r, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}
