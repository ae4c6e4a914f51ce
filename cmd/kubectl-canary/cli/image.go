// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
)

func newSetImageCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use:   "image NAME CONTAINER=IMAGE...",
		Short: "Change images in the pod template, which starts a release",
		Example: `  kubectl canary set image reviews app=registry.example.com/reviews:2
  kubectl canary set image reviews app=registry.example.com/reviews:2 sidecar=registry.example.com/proxy:7`,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("%s takes the name of a rollout, and images, as in: %s reviews app=registry.example.com/reviews:2",
					command.CommandPath(), command.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: o.completeImages,
	}
	w := addWriteFlags(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		r, err := s.find(command.Context(), nameOf(args[0]))
		if err != nil {
			return err
		}
		c, err := action.SetImages(r, args[1:], s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	}
	return command
}
