// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
)

// NewUndoCommand returns the command that applies the template of a previous revision.
func NewUndoCommand(o *Options) *cobra.Command {
	var to string
	command := &cobra.Command{
		Use:   "undo NAME",
		Short: "Apply the pod template of a former revision again",
		Long: `Apply the pod template of a former revision again. During a release or after an abort, the default is the stable
revision: traffic returns to it and the release ends. Otherwise the default is the revision that was stable before, and
it is released step by step.`,
		Example: `  kubectl canary undo reviews
  kubectl canary undo reviews --to-revision 7d5c8b6f4x
  kubectl canary undo reviews && kubectl canary promote reviews --full   # quick: its pods may still be warm`,
		Args: oneName, ValidArgsFunction: o.completeRollouts,
	}
	command.Flags().StringVar(&to, "to-revision", "", "The revision to return to. See: kubectl canary history NAME.")
	_ = command.RegisterFlagCompletionFunc("to-revision", o.completeRevisions) // the flag exists
	w := addWriteFlags(command)
	command.RunE = o.withSession(func(command *cobra.Command, s *session, name string) error {
		r, err := s.findObserved(command.Context(), name)
		if err != nil {
			return err
		}
		templates, err := action.Templates(command.Context(), s.client, client.ObjectKeyFromObject(r))
		if err != nil {
			return err
		}
		c, err := action.Undo(r, templates, to, s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	})
	return command
}

// NewSetCommand returns the parent command of set image.
func NewSetCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use: "set", Short: "Change what a rollout runs",
		RunE: func(command *cobra.Command, _ []string) error {
			return errors.New("set what? For example: " + command.CommandPath() + " image reviews app=registry.example.com/reviews:2")
		},
	}
	command.AddCommand(newSetImageCommand(o))
	return command
}
