// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// commands returns the first command block below a heading of docs/health.md.
func commands(t *testing.T, heading string) string {
	t.Helper()
	return harness.Documented(t, "health.md", heading)[0]
}

// The headings.
const (
	untilEnded    = "### Until a release has ended"
	untilPaused   = "### Until it pauses"
	untilVerified = "### Until a weight is verified"
	untilAborted  = "### Until an abort is complete"
	untilGone     = "### Until it is gone"
	rollout       = "## Instead of kubectl rollout"
)

// isReadyNow must not accept an outdated status.
const isReadyNow = "kubectl wait --for=condition=Ready --timeout=1s canaryrollout/reviews"

func start(t *testing.T) (*harness.App, *harness.Terminal) {
	t.Helper()
	a := harness.Start(t, env, harness.Options{
		Rate: rate, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold(), builder.Weight(100)},
	})
	return a, a.Terminal()
}

// pausedAt waits for the pause with the documented commands, and returns the value that promotes only this pause.
func pausedAt(t *testing.T, a *harness.App, s *harness.Terminal) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(s.Run(commands(t, untilPaused))), "\n")
	last := lines[len(lines)-1]
	at, total := last[:strings.LastIndex(last, "/")], last[strings.LastIndex(last, "/")+1:]
	if want := a.Get().Status.Canary.Revision + "/2"; at != want || total != "3" {
		t.Fatalf("paused at %s of %s, want %s of 3", at, total, want)
	}
	return at
}

func checkState(t *testing.T, a *harness.App, want v1alpha1.State) {
	t.Helper()
	if got := a.Get().Status; got.State != want {
		t.Errorf("it is %s (%s), want %s", got.State, got.Message, want)
	}
}

// TestScriptRelease waits for a release that succeeds.
func TestScriptRelease(t *testing.T) {
	t.Parallel()
	a, s := start(t)
	v1 := a.Stable()
	s.Run(commands(t, untilEnded)) // nothing is in flight
	a.SetImage(builder.ImageV2)
	if output, err := s.Try(isReadyNow); err == nil {
		t.Errorf("a release that has just begun counts as done: %s", output)
	}
	at := pausedAt(t, a, s)
	checkState(t, a, v1alpha1.StatePaused)
	s.Run(commands(t, untilVerified))
	if got := a.Get().Status.Traffic.VerifiedWeight; got != 50 {
		t.Errorf("%d %% are verified, want 50", got)
	}
	s.Run("kubectl annotate canaryrollout reviews canaryrollout.dev/promote=" + at)
	s.Run(commands(t, untilEnded))
	checkState(t, a, v1alpha1.StateHealthy)
	if a.Stable() == v1 {
		t.Errorf("revision %s is stable still", v1)
	}
	a.WaitForDrain(v1)
	a.CheckLoss()
}

// TestScriptAbort waits for a release that fails: the script fails, and prints the reason.
func TestScriptAbort(t *testing.T) {
	t.Parallel()
	a, s := start(t)
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	pausedAt(t, a, s)
	s.Run(commands(t, untilAborted))
	checkState(t, a, v1alpha1.StateAborted)
	if output, err := s.Try(commands(t, untilEnded)); err == nil {
		t.Errorf("an aborted release counts as done: %s", output)
	}
	why := s.Run(harness.Documented(t, "health.md", untilEnded)[1])
	if !strings.HasPrefix(why, "Aborted: ") || !strings.Contains(why, "too many errors") {
		t.Errorf("went wrong: %s", why)
	}
	if got := a.Stable(); got != v1 {
		t.Errorf("revision %s is stable, want %s", got, v1)
	}
	a.CheckLoss()
}

// byVerb maps the comment before each command of a block, up to a colon, to the commands.
func byVerb(block string) map[string]string {
	verbs := map[string]string{}
	verb := ""
	for line := range strings.Lines(block) {
		if comment, isComment := strings.CutPrefix(line, "# "); isComment {
			verb, _, _ = strings.Cut(strings.TrimSpace(comment), ":")
			continue
		}
		verbs[verb] += line
	}
	return verbs
}

// TestScriptRollout covers what kubectl rollout does for Deployments.
func TestScriptRollout(t *testing.T) {
	t.Parallel()
	a, s := start(t)
	v1, verbs := a.Stable(), byVerb(commands(t, rollout))
	s.Run(verbs["status"])
	s.Run(verbs["restart"])
	pausedAt(t, a, s)
	held := func(reason string) func(v1alpha1.CanaryRolloutStatus) bool {
		return func(status v1alpha1.CanaryRolloutStatus) bool {
			return status.Pause != nil && status.Pause.Reason == reason
		}
	}
	s.Run(verbs["pause"])
	a.WaitFor("the release to be held", held(v1alpha1.ReasonSpecPaused))
	s.Run(verbs["resume"])
	a.WaitFor("the pause of the step", held(v1alpha1.ReasonPauseStep))
	a.Annotate(v1alpha1.PromoteAnnotation, "full")
	s.Run(verbs["status"])
	checkState(t, a, v1alpha1.StateHealthy)
	v2 := a.Stable()
	if history := s.Run(verbs["history"]); !strings.HasPrefix(history, v2+" Promoted ") || !strings.Contains(history, "\n"+v1+" Promoted ") {
		t.Errorf("history of %s and %s:\n%s", v1, v2, history)
	}
	a.WaitForDrain(v1)
	a.CheckLoss()
}

// TestScriptGone waits for a deletion.
func TestScriptGone(t *testing.T) {
	t.Parallel()
	_, s := start(t)
	s.Run(commands(t, untilGone))
	if output, err := s.Try("kubectl get canaryrollout reviews"); err == nil {
		t.Errorf("it is there still: %s", output)
	}
}
