// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli has the commands of kubectl canary. They read and write what any kubectl user can: the same annotations
// and the same fields of the spec. Package view formats what they print.
package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// ExitError sets the exit code of the program.
type ExitError struct {
	Code int
	// Err is printed; nil if everything has been printed.
	Err error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Run runs a command line, prints errors to stderr, and returns the exit code.
func Run(ctx context.Context, command *cobra.Command) int {
	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := 1
	exit := (*ExitError)(nil)
	if errors.As(err, &exit) {
		if code = exit.Code; exit.Err == nil {
			return code
		}
	}
	command.PrintErrln("error:", err)
	return code
}

const about = `Show and control the canary releases of CanaryRollouts.

A release begins when the pod template of a rollout changes. These commands show where it is, and move it by the same
annotations and fields of the spec that you could set with kubectl alone.`

// NewCommand returns kubectl canary with its subcommands.
func NewCommand(o *Options) *cobra.Command {
	root := &cobra.Command{
		Use:           "kubectl-canary",
		Short:         "Show and control the canary releases of CanaryRollouts",
		Long:          about,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl canary"},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(o.In)
	root.SetOut(o.Out)
	root.SetErr(o.ErrOut)
	o.Config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&o.noColor, "no-color", false, "Show neither colors nor icons, as with NO_COLOR in the environment.")
	root.AddCommand(
		NewGetCommand(o), NewListCommand(o), NewStatusCommand(o), NewHistoryCommand(o),
		NewPromoteCommand(o), NewAbortCommand(o), NewRetryCommand(o),
		NewPauseCommand(o), NewResumeCommand(o), NewUndoCommand(o), NewSetCommand(o),
		NewPlanCommand(o), NewLintCommand(o), NewConvertCommand(o), NewDashboardCommand(o), NewVersionCommand(o),
	)
	_ = root.RegisterFlagCompletionFunc("namespace", o.completeNamespaces) // the flag exists
	return root
}

// oneName requires the name of one rollout. The error shows how to pass it.
func oneName(command *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("%s takes the name of one rollout, as in: %s reviews", command.CommandPath(), command.CommandPath())
}

// nameOf also accepts a name as kubectl prints it: canaryrollout/reviews.
func nameOf(arg string) string {
	if kind, name, found := strings.Cut(arg, "/"); found && isOurKind(kind) {
		return name
	}
	return arg
}

func isOurKind(kind string) bool {
	kind, _, _ = strings.Cut(strings.ToLower(kind), ".")
	return kind == "canaryrollout" || kind == "canaryrollouts" || kind == "cro"
}
