// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/convert"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/source"
)

// notConverted is the exit code if nothing could be converted, as that of a report with an error.
const notConverted = 2

// convertOptions holds the flags of convert.
type convertOptions struct {
	*Options
	files     source.Files
	directory string
	report    string
	gateway   string
}

// NewConvertCommand returns the command `kubectl canary convert`.
func NewConvertCommand(options *Options) *cobra.Command {
	o := &convertOptions{Options: options}
	command := &cobra.Command{
		Use:   "convert -f FILE... [-o DIR]",
		Short: "Convert manifests of Argo Rollouts or Flagger",
		Long: `Convert Rollouts, AnalysisTemplates and ClusterAnalysisTemplates of Argo Rollouts, and Canaries and MetricTemplates of
Flagger, to CanaryRollouts, CanaryMetrics, Services and routes. Other objects in the files are copied.

The result is printed, or written into a directory with one file for each object. A report on standard error names each field
that is not carried over, and says what to do instead. The exit code is 0 if nothing is lost, 1 if something is, and 2 if an
object was not converted. No cluster is needed.`,
		Example: `  kubectl canary convert -f rollout.yaml -f services.yaml -o converted/
  kubectl kustomize deploy | kubectl canary convert -f - --gateway infra/public --report json 2>report.json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			command.SilenceUsage = true
			return o.run(command)
		},
	}
	o.files.AddFlags(command)
	command.Flags().StringVarP(&o.directory, "output", "o", "", "The directory for the result. Without it, the result is printed.")
	command.Flags().StringVar(&o.report, "report", "text", "The format of the report: text or json.")
	command.Flags().StringVar(&o.gateway, "gateway", "", "NAME or NAMESPACE/NAME of the Gateway for routes that are proposed.")
	_ = command.MarkFlagDirname("output") // the flag exists
	return command
}

func (o *convertOptions) run(command *cobra.Command) error {
	switch {
	case len(o.files.Names) == 0:
		return &ExitError{notConverted, errors.New("name the files to convert, for example: kubectl canary convert -f rollout.yaml")}
	case o.report != "text" && o.report != "json":
		return &ExitError{notConverted, fmt.Errorf("--report %s is not supported: use text or json", o.report)}
	}
	sources, err := o.files.Read(o.In)
	if err != nil {
		return &ExitError{notConverted, err}
	}
	result := convert.Convert(sources, convert.Options{Gateway: o.gateway})
	if result.Converted == 0 && convert.ExitCode(result.Report) == 0 {
		return &ExitError{notConverted, errors.New("there is no object of Argo Rollouts or Flagger in these files, so nothing was converted")}
	}
	found, err := result.Check(command.Context())
	if err == nil {
		err = o.write(result.Objects)
	}
	if err != nil {
		return &ExitError{notConverted, err}
	}
	return o.finish(append(result.Report, found...))
}

// write prints the objects, or writes them into files that do not exist yet.
func (o *convertOptions) write(objects []convert.Object) error {
	if o.directory != "" {
		if err := os.MkdirAll(o.directory, 0o755); err != nil {
			return err
		}
	}
	for i, object := range objects {
		content, err := object.YAML()
		switch {
		case err != nil:
			return err
		case o.directory != "":
			err = create(filepath.Join(o.directory, object.FileName()), content)
		default:
			if i > 0 {
				content = append([]byte("---\n"), content...)
			}
			_, err = o.data().Write(content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func create(name string, content []byte) error {
	file, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: remove it, or name another directory", name)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// finish prints the report, and returns its exit code.
func (o *convertOptions) finish(entries []convert.Entry) error {
	if err := printReport(o.ErrOut, o.report, entries); err != nil {
		return err
	}
	code := convert.ExitCode(entries)
	if code == 0 {
		return nil
	}
	exit := &ExitError{Code: code}
	if o.report == "text" {
		count := map[convert.Severity]int{}
		for _, entry := range entries {
			count[entry.Severity]++
		}
		exit.Err = fmt.Errorf("found %s and %s", counted(count[convert.Error], "error"), countedLosses(count[convert.Loss]))
	}
	return exit
}

func countedLosses(count int) string {
	if count == 1 {
		return "1 loss"
	}
	return fmt.Sprintf("%d losses", count)
}

func printReport(out io.Writer, format string, entries []convert.Entry) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if entries == nil {
			entries = []convert.Entry{}
		}
		return encoder.Encode(entries)
	}
	for _, entry := range entries {
		if _, err := fmt.Fprintln(out, entry); err != nil {
			return err
		}
	}
	return nil
}
