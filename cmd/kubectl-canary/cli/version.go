// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/version"
)

// NewVersionCommand returns the command that shows the version.
func NewVersionCommand(o *Options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this plugin and of the API that it uses",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			build := version.Get()
			return o.print(fmt.Sprintf("kubectl-canary %s\nAPI %s\nbuilt with %s for %s\n",
				build.Version, v1alpha1.GroupVersion, build.GoVersion, build.Platform))
		},
	}
}
