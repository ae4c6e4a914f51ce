// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// TestSecondManager: two managers of a namespace without leader election are detected, and a release still completes,
// because each of their writes is guarded.
func TestSecondManager(t *testing.T) {
	a := deployed(t, builder.Weight(20), builder.Weight(60))
	second, err := operator.Start(t.Context(), env.Cluster, operator.Options{
		Name: "second-manager", ProbePort: 8181, MetricsPort: 8543,
		Args: []string{"--leader-elect=false", "--namespace=" + a.namespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	a.setImage(builder.ImageV2)
	a.waitForState(v1alpha1.StateHealthy)
	a.waitForEvent("Warning", plan.EventSecondManager, "uninstall one of them")
}
