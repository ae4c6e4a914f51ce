// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-canary is a kubectl plugin: kubectl canary.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to log in that kubectl knows
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/cli"
)

func main() {
	log.SetLogger(logr.Discard()) // the client library warns without a logger
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	command := cli.NewCommand(cli.NewOptions(streams))
	command.SetArgs(arguments(os.Args))
	code := cli.Run(ctx, command)
	stop()
	os.Exit(code)
}

// arguments returns the command-line arguments. For completion, kubectl runs this program as kubectl_complete-canary.
func arguments(args []string) []string {
	if strings.HasPrefix(filepath.Base(args[0]), "kubectl_complete-canary") {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}
