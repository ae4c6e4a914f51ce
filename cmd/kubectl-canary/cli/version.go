// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Version is set by a release build.
var Version = ""

// NewVersionCommand says which version this is.
func NewVersionCommand(o *Options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this plugin, and of the API that it speaks",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			version := Version
			if info, ok := debug.ReadBuildInfo(); ok {
				version = cmp.Or(version, info.Main.Version)
			}
			return o.print(fmt.Sprintf("kubectl-canary %s\nAPI %s\nbuilt with %s for %s/%s\n",
				cmp.Or(version, "unknown"), v1alpha1.GroupVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH))
		},
	}
}
