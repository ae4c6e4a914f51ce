// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldManager is the field manager of the plugin.
const fieldManager = "kubectl-canary"

// operation is one operation of a JSON patch.
type operation struct {
	Op, Path string
	Value    any
}

// MarshalJSON keeps null values, because a test for null checks that a field is absent.
func (o operation) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"op": o.Op, "path": o.Path}
	if o.Op != "remove" {
		fields["value"] = o.Value
	}
	return json.Marshal(fields)
}

func pointer(path ...string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var text strings.Builder
	for _, key := range path {
		text.WriteString("/" + escape.Replace(key))
	}
	return text.String()
}

// guard tests that a field has the value that was read; absent counts as null.
func guard(r *rollout, path ...string) operation {
	value, _, _ := unstructured.NestedFieldNoCopy(r.raw.Object, path...)
	return operation{Op: "test", Path: pointer(path...), Value: value}
}

// guardMemory tests that the rollout has not moved on since it was read. Empty fields are absent from the memory.
func guardMemory(r *rollout, fields ...string) []operation {
	guards := []operation{guard(r, "metadata", "uid")}
	for _, field := range fields {
		guards = append(guards, guard(r, "status", "memory", field))
	}
	return guards
}

// annotate sets an annotation, even if the object has none yet.
func annotate(r *rollout, key, value string) []operation {
	if len(r.Annotations) == 0 {
		return []operation{
			{Op: "test", Path: "/metadata/annotations"},
			{Op: "add", Path: "/metadata/annotations", Value: map[string]any{key: value}},
		}
	}
	return []operation{{Op: "add", Path: pointer("metadata", "annotations", key), Value: value}}
}

// writer holds the flags of the commands that write.
type writer struct {
	dryRun string
	print  *genericclioptions.PrintFlags
}

func addWriteFlags(command *cobra.Command) *writer {
	w := &writer{print: genericclioptions.NewPrintFlags("")}
	w.print.AddFlags(command)
	command.Flags().StringVar(&w.dryRun, "dry-run", "none",
		`"client" only prints what would be written, "server" has the API server check it too and store nothing, "none" writes.`)
	command.Flags().Lookup("dry-run").NoOptDefVal = "client"
	_ = command.RegisterFlagCompletionFunc("dry-run", // the flag exists
		cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return w
}

// change is what a command changes in a rollout.
type change struct {
	rollout *rollout
	patch   []operation
	// said describes what was done and what comes next.
	said string
}

// write applies a change, and prints the object or what was done.
func (w *writer) write(ctx context.Context, s *session, c change) error {
	if c.rollout.DeletionTimestamp != nil {
		return fmt.Errorf("rollout %s is being deleted, and hands its traffic back: nothing was written", c.rollout.Name)
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
	return s.print(c.said + suffix + "\n")
}

func (w *writer) apply(ctx context.Context, s *session, c change) (*unstructured.Unstructured, error) {
	encoded, err := json.Marshal(c.patch)
	if err != nil {
		return nil, err
	}
	options := []client.PatchOption{client.FieldOwner(fieldManager)}
	switch w.dryRun {
	case "none":
	case "server":
		options = append(options, client.DryRunAll)
	case "client":
		return patched(c.rollout.raw, encoded)
	default:
		return nil, fmt.Errorf("--dry-run is none, client or server, not %q", w.dryRun)
	}
	result := c.rollout.raw.DeepCopy()
	err = s.client.Patch(ctx, result, client.RawPatch(types.JSONPatchType, encoded), options...)
	switch {
	case err == nil:
		return result, nil
	case isTestFailure(err):
		return nil, fmt.Errorf("rollout %s has changed since it was read, so nothing was written: look at it and try again: kubectl canary get %s%s",
			c.rollout.Name, c.rollout.Name, s.flags())
	default:
		return nil, s.explain(ctx, c.rollout.Name, err)
	}
}

// isTestFailure reports whether a test of a JSON patch failed. Validation was not reached then, so the API server's
// error does not say what is invalid.
func isTestFailure(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return apierrors.IsConflict(err)
	}
	details := status.Status().Details
	return details == nil || details.Kind == "" && len(details.Causes) == 0
}

// patched applies a patch to an object locally.
func patched(raw *unstructured.Unstructured, encoded []byte) (*unstructured.Unstructured, error) {
	patch, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, err
	}
	before, err := raw.MarshalJSON()
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	result := &unstructured.Unstructured{}
	return result, result.UnmarshalJSON(after)
}
