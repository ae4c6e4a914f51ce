// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// TestVariables: the planner has a value for every variable that lint accepts, and no other.
func TestVariables(t *testing.T) {
	in := atGate(analysisStep(0, "", errorsMetric()))
	v := view{in: &in, mem: in.Prior.Memory}
	values := v.variables(metric{arguments: map[string]string{"port": "http"}}, v.canarySide())
	want := append(slices.Clone(analysis.VariableNames), "args.port")
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(values))); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}
