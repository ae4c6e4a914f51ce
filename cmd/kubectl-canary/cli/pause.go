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
	return pauseCommand(o, "pause NAME", "Hold steps and promotions where they are (spec.paused)",
		"Hold steps and promotions where they are, by spec.paused. Repair, abort, scaling and deletion go on.", pause)
}

// NewResumeCommand returns the command that removes spec.paused.
func NewResumeCommand(o *Options) *cobra.Command {
	return pauseCommand(o, "resume NAME", "Take back what pause did (spec.paused)",
		"Take back what pause did: spec.paused is removed. A pause among the steps is left by promote.", resume)
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
		return change{}, fmt.Errorf("%s is held by spec.paused already: to let it go on: kubectl canary resume %s%s", r.Name, r.Name, flags)
	}
	next := fmt.Sprintf("revision %s stays where it is until: kubectl canary resume %s%s", r.Status.Revision, r.Name, flags)
	if memory := r.Status.Memory; memory == nil || memory.CurrentRevision == memory.StableRevision {
		next = fmt.Sprintf("nothing is in flight, and a new template will not start until: kubectl canary resume %s%s", r.Name, flags)
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
		message: fmt.Sprintf("resumed %s; it goes on from where it was. %s", r.Name, follow(r, flags)),
	}, nil
}

// elsewhere names the command that ends a pause step, which may be what the user meant.
func elsewhere(r *rollout, flags string) string {
	if r.Status.Pause == nil {
		return ""
	}
	return fmt.Sprintf(", but at the pause of step %s, which is left by: kubectl canary promote %s%s", r.Status.Step, r.Name, flags)
}
