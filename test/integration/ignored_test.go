// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// ignored gives a command that does not apply, and checks that it changes nothing and is answered.
func (a *app) ignored(key, value, why string) {
	a.t.Helper()
	before := a.rollout().Status
	a.annotate(key, value)
	a.waitForEvent("Warning", "CommandIgnored", key+"="+value+" is ignored: "+why)
	a.waitForNoCommand()
	if after := a.barrier(); after.Status.State != before.State || after.Status.Step != before.Step || after.Status.Revision != before.Revision {
		a.t.Errorf("%s=%s changed %s step %s to %s", key, value, before.State, before.Step, describe(after))
	}
}

// TestIgnoredAtRest: with nothing in flight, no command applies.
func TestIgnoredAtRest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ key, value, why string }{
		"abort":      {abort, "true", "nothing is in flight; to roll back, apply the previous template"},
		"retry":      {retry, "true", "nothing is aborted"},
		"promote":    {promote, "true", "the rollout is not at a pause or an analysis step"},
		"full":       {promote, "full", "nothing is in flight"},
		"at-no-step": {promote, "abc/1", "the rollout is at "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			deployed(t, builder.Hold()).ignored(tc.key, tc.value, tc.why)
		})
	}
}

// TestIgnoredInFlight: invalid values, and steps other than the current one.
func TestIgnoredInFlight(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ key, value, why string }{
		"abort-false":    {abort, "false", "the value must be true, or a reason"},
		"abort-empty":    {abort, "", "the value must be true, or a reason"},
		"retry":          {retry, "true", "nothing is aborted"},
		"retry-unknown":  {retry, "yes", "the value must be true"},
		"unknown":        {promote, "yes", "the value must be true, full, or a revision and a step number"},
		"other-revision": {promote, "0123456789/1", "the rollout is at "},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			paused(t, "1/2", builder.Hold(), builder.Hold()).ignored(tc.key, tc.value, tc.why)
		})
	}
}

// TestIgnoredAtOtherStep names the right revision and the wrong step.
func TestIgnoredAtOtherStep(t *testing.T) {
	a := paused(t, "1/2", builder.Hold(), builder.Hold())
	revision := a.rollout().Status.Revision
	a.ignored(promote, revision+"/2", "the rollout is at "+revision+"/1")
}

// TestIgnoredWhenAborted: only a retry or another template has an effect.
func TestIgnoredWhenAborted(t *testing.T) {
	a := paused(t, "1/1", builder.Hold())
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.ignored(promote, "full", "revision "+a.rollout().Status.Revision+" is aborted: retry it first")
}

// TestIgnoredWhileInitializing: a first deploy has nothing to roll back to.
func TestIgnoredWhileInitializing(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make().PodAnnotation(cluster.NeverReady, "true"))
	a.waitForState(v1alpha1.StateInitializing)
	a.ignored(abort, "true", "the first deploy has no stable revision")
}

// TestEveryIgnoredCommandIsAnswered: a second ignored command is also answered.
func TestEveryIgnoredCommandIsAnswered(t *testing.T) {
	a := deployed(t, builder.Hold())
	a.ignored(retry, "true", "nothing is aborted")
	a.ignored(promote, "true", "the rollout is not at a pause or an analysis step")
}
