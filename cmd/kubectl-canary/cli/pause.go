// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// NewPauseCommand returns the command that pauses a rollout by spec.paused.
func NewPauseCommand(o *Options) *cobra.Command {
	return pauseCommand(o, "pause NAME", "Stop steps and promotions where they are (spec.paused)",
		"Stop steps and promotions where they are, by spec.paused. Restoring overwritten objects, abort, scaling and deletion still work.", pause)
}

// NewResumeCommand returns the command that removes spec.paused.
func NewResumeCommand(o *Options) *cobra.Command {
	return pauseCommand(o, "resume NAME", "Undo a pause by spec.paused",
		"Undo kubectl canary pause: spec.paused is removed. To end a pause step, use promote.", resume)
}

func pauseCommand(o *Options, use, short, long string, decide func(*rollout, string) (change, error)) *cobra.Command {
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

func pause(r *rollout, flags string) (change, error) {
	if r.Spec.Paused {
		return change{}, fmt.Errorf("%s is already held by spec.paused; to resume it: kubectl canary resume %s%s", r.Name, r.Name, flags)
	}
	next := fmt.Sprintf("revision %s stays where it is until: kubectl canary resume %s%s", r.Status.Revision, r.Name, flags)
	if memory := r.Status.Memory; memory == nil || memory.CurrentRevision == memory.StableRevision {
		next = fmt.Sprintf("no release is in flight, and a new template starts no release until: kubectl canary resume %s%s", r.Name, flags)
	}
	return change{
		rollout: r, patch: []jsonpatch.Operation{guard(r, "spec", "paused"), jsonpatch.Add("/spec/paused", true)},
		message: fmt.Sprintf("paused %s; %s", r.Name, next),
	}, nil
}

func resume(r *rollout, flags string) (change, error) {
	if !r.Spec.Paused {
		return change{}, fmt.Errorf("%s is not held by spec.paused%s", r.Name, elsewhere(r, flags))
	}
	return change{
		rollout: r, patch: []jsonpatch.Operation{guard(r, "spec", "paused"), jsonpatch.Remove("/spec/paused")},
		message: fmt.Sprintf("resumed %s; it continues where it was. %s", r.Name, follow(r, flags)),
	}, nil
}

// elsewhere names the command that ends a pause step, which may be what the user meant.
func elsewhere(r *rollout, flags string) string {
	if r.Status.Pause == nil {
		return ""
	}
	return fmt.Sprintf(", but at the pause of step %s, which is left by: kubectl canary promote %s%s", r.Status.Step, r.Name, flags)
}
