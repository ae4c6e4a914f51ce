// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/source"
)

// lintOptions holds the flags of lint.
type lintOptions struct {
	*Options
	files  source.Files
	output string
	strict bool
}

// NewLintCommand returns the command `kubectl canary lint`.
func NewLintCommand(options *Options) *cobra.Command {
	o := &lintOptions{Options: options}
	command := &cobra.Command{
		Use:   "lint -f FILE...",
		Short: "Check manifests without a cluster",
		Long: `Check the CanaryRollouts and CanaryMetrics in files as the API server would: unknown fields, the schema, the rules. Then
compare them with the Services and routes in the same files, and look for risks in their releases.

With -n, objects without a namespace are checked as if they were in that namespace. Errors end with exit code 1, and with
--strict warnings do, too. Services and routes that are not in the files are not checked. No cluster is needed.`,
		Example: `  kubectl canary lint -f deploy/
  kubectl kustomize deploy | kubectl canary lint -f -`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			command.SilenceUsage = true
			return o.run(command)
		},
	}
	o.files.AddFlags(command)
	command.Flags().StringVarP(&o.output, "output", "o", "text", "text or json.")
	command.Flags().BoolVar(&o.strict, "strict", false, "Treat warnings as errors.")
	return command
}

func (o *lintOptions) run(command *cobra.Command) error {
	switch {
	case len(o.files.Names) == 0:
		return errors.New("name the files to check, for example: kubectl canary lint -f deploy/")
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("-o %s is not supported: use text or json", o.output)
	}
	sources, err := o.files.Read(o.In)
	if err != nil {
		return err
	}
	manifests, found, err := lint.Read(command.Context(), sources, ptr.Deref(o.Config.Namespace, ""))
	if err != nil {
		return err
	}
	found = append(found, manifests.Check()...)
	if err := o.printAll(found); err != nil {
		return err
	}
	if err := o.verdict(found); err != nil {
		return err
	}
	if len(manifests.Rollouts)+len(manifests.Metrics) == 0 {
		return errors.New("there is no CanaryRollout and no CanaryMetric in these files, so nothing was checked")
	}
	return nil
}

func (o *lintOptions) printAll(found []lint.Finding) error {
	if o.output == "json" {
		encoder := json.NewEncoder(o.data())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(found)
	}
	for _, finding := range found {
		if _, err := fmt.Fprintln(o.Out, finding); err != nil {
			return err
		}
	}
	return nil
}

// verdict returns an error if the findings should fail a pipeline.
func (o *lintOptions) verdict(found []lint.Finding) error {
	count := map[lint.Severity]int{}
	for _, finding := range found {
		count[finding.Severity]++
	}
	if count[lint.Error] > 0 || o.strict && count[lint.Warning] > 0 {
		return fmt.Errorf("found %s and %s", counted(count[lint.Error], "error"), counted(count[lint.Warning], "warning"))
	}
	return nil
}

func counted(count int, what string) string {
	if count != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", count, what)
}
