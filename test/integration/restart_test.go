// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"maps"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// TestRestart stops the operator in mid-canary. Its successor continues where it was, and handles the command and the
// drift in between. The test is not parallel because the others share an operator.
func TestRestart(t *testing.T) {
	startManager(t)
	t.Cleanup(func() {
		if err := stopManager(); err != nil {
			t.Error(err)
		}
	})
	a := newApp(t)
	a.deploy(a.make().Steps(builder.Weight(50), builder.Hold(), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	a.setImage(builder.ImageV2)
	before := a.waitForStep(v1alpha1.StatePaused, "2/3")
	pods := a.pods("app=reviews")
	if err := stopManager(); err != nil {
		t.Fatal(err)
	}
	a.setSelector("reviews-canary", `{"app":"reviews"}`)
	a.setBackends(pairRefs)
	a.annotate(promote, "true")
	startManager(t)
	after := a.waitForStep(v1alpha1.StatePaused, "3/3")
	a.checkRemovedOnce("promote")
	if now := a.pods("app=reviews"); len(pods) != 3 || !maps.Equal(now, pods) || after.Status.Revision != before.Status.Revision {
		t.Errorf("the pods were %v, and are %v: %s", pods, now, describe(after))
	}
	a.within(patience, "the repair of the route", func() (bool, string) { return a.traffic() == "50/50 ", a.traffic() })
	a.checkSelects("reviews-canary", after.Status.Canary.Revision)
}
