// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
)

// writer holds the flags of the commands that write.
type writer struct {
	dryRun string
	print  *genericclioptions.PrintFlags
}

func addWriteFlags(command *cobra.Command) *writer {
	w := &writer{print: genericclioptions.NewPrintFlags("")}
	w.print.AddFlags(command)
	command.Flags().StringVar(&w.dryRun, "dry-run", "none",
		`"client" only prints what would be written. "server" also lets the API server validate it, without storing it. "none" writes.`)
	command.Flags().Lookup("dry-run").NoOptDefVal = "client"
	_ = command.RegisterFlagCompletionFunc("dry-run", // the flag exists
		cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return w
}

// write applies a change, and prints the object or what was done.
func (w *writer) write(ctx context.Context, s *session, c action.Change) error {
	if c.Rollout.DeletionTimestamp != nil {
		return fmt.Errorf("rollout %s is being deleted and hands back its traffic: nothing was written", c.Rollout.Name)
	}
	result, err := w.apply(ctx, s, c)
	if err != nil {
		return err
	}
	suffix := map[string]string{"client": " (dry run)", "server": " (server dry run)"}[w.dryRun]
	if w.print.OutputFlagSpecified() {
		printer, err := w.print.ToPrinter()
		if err != nil {
			return err
		}
		return printer.PrintObj(result, s.data())
	}
	return s.print(c.Message + suffix + "\n")
}

func (w *writer) apply(ctx context.Context, s *session, c action.Change) (*unstructured.Unstructured, error) {
	var options []client.PatchOption
	switch w.dryRun {
	case "none":
	case "server":
		options = append(options, client.DryRunAll)
	case "client":
		return c.Preview()
	default:
		return nil, fmt.Errorf("--dry-run is none, client or server, not %q", w.dryRun)
	}
	result, err := c.Write(ctx, s.client, options...)
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, action.ErrChanged):
		return nil, fmt.Errorf("rollout %s has changed since it was read, so nothing was written: check it and try again: kubectl canary get %s%s",
			c.Rollout.Name, c.Rollout.Name, s.flags())
	default:
		return nil, s.explain(ctx, c.Rollout.Name, err)
	}
}
