// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	evanphx "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
)

// fieldManager is the field manager of the plugin.
const fieldManager = "kubectl-canary"

// guard tests that a field has the value that was read, or is still absent.
func guard(r *rollout, path ...string) jsonpatch.Operation {
	value, _, _ := unstructured.NestedFieldNoCopy(r.raw.Object, path...)
	return jsonpatch.Test(jsonpatch.Pointer(path...), value)
}

// guardMemory tests that the rollout has not moved on since it was read. Empty fields are absent from the memory.
func guardMemory(r *rollout, fields ...string) []jsonpatch.Operation {
	guards := []jsonpatch.Operation{guard(r, "metadata", "uid")}
	for _, field := range fields {
		guards = append(guards, guard(r, "status", "memory", field))
	}
	return guards
}

// annotate sets an annotation, even if the object has none yet.
func annotate(r *rollout, key, value string) []jsonpatch.Operation {
	if len(r.Annotations) == 0 {
		return []jsonpatch.Operation{
			jsonpatch.Test("/metadata/annotations", nil),
			jsonpatch.Add("/metadata/annotations", map[string]any{key: value}),
		}
	}
	return []jsonpatch.Operation{jsonpatch.Add(jsonpatch.Pointer("metadata", "annotations", key), value)}
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
		`"client" only prints what would be written. "server" also lets the API server validate it, without storing it. "none" writes.`)
	command.Flags().Lookup("dry-run").NoOptDefVal = "client"
	_ = command.RegisterFlagCompletionFunc("dry-run", // the flag exists
		cobra.FixedCompletions([]string{"none", "client", "server"}, cobra.ShellCompDirectiveNoFileComp))
	return w
}

// change is what a command changes in a rollout.
type change struct {
	rollout *rollout
	patch   []jsonpatch.Operation
	// message describes what was done and what comes next.
	message string
}

// write applies a change, and prints the object or what was done.
func (w *writer) write(ctx context.Context, s *session, c change) error {
	if c.rollout.DeletionTimestamp != nil {
		return fmt.Errorf("rollout %s is being deleted and hands back its traffic: nothing was written", c.rollout.Name)
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
	return s.print(c.message + suffix + "\n")
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
	case jsonpatch.IsTestFailure(err), apierrors.IsConflict(err):
		return nil, fmt.Errorf("rollout %s has changed since it was read, so nothing was written: check it and try again: kubectl canary get %s%s",
			c.rollout.Name, c.rollout.Name, s.flags())
	default:
		return nil, s.explain(ctx, c.rollout.Name, err)
	}
}

// patched applies a patch to an object locally.
func patched(raw *unstructured.Unstructured, encoded []byte) (*unstructured.Unstructured, error) {
	patch, err := evanphx.DecodePatch(encoded)
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
