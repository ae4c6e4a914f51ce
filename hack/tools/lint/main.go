// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command lint is golangci-lint with the Kubernetes API linter built in. `golangci-lint custom` would build the same
// binary, but it clones repositories; this one is pinned by its go.mod and built only from modules.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter" // registers itself as the plugin "kubeapilinter"
)

func main() {
	info := commands.BuildInfo{Version: "custom", Commit: "none", Date: "unknown"}
	if err := commands.Execute(info); err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(exitcodes.Failure)
	}
}
