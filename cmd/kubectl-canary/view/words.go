// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"math"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// look is the icon and color of a state.
type look struct{ icon, color string }

func lookOf(state v1alpha1.State) look {
	switch state {
	case v1alpha1.StateHealthy:
		return look{"✔", green}
	case v1alpha1.StatePaused:
		return look{"‖", yellow}
	case v1alpha1.StatePromoting:
		return look{"▲", cyan}
	case v1alpha1.StateAborting:
		return look{"◀", red}
	case v1alpha1.StateAborted, v1alpha1.StateDegraded:
		return look{"✖", red}
	case v1alpha1.StateInitializing, v1alpha1.StateProgressing, v1alpha1.StateTerminating:
		return look{"◌", cyan}
	default:
		return look{"◌", dim}
	}
}

// stateWord returns the state, or Unknown before the first pass over a rollout.
func stateWord(status v1alpha1.CanaryRolloutStatus) string {
	if status.State == "" {
		return "Unknown"
	}
	return string(status.State)
}

// bar draws the two shares as one bar: a solid part for the verified share, then the part that is only desired.
func (s Style) bar(weight v1alpha1.RevisionWeight, cells int) string {
	glyphs := []rune(s.glyph("█▒░", "#=-"))
	upTo := func(percent int32) int { return int(math.Round(float64(int(percent)*cells) / 100)) }
	solid := upTo(weight.Verified)
	more := max(upTo(weight.Desired)-solid, 0)
	draw := func(i, n int) string { return strings.Repeat(string(glyphs[i]), n) }
	return s.paint(green, draw(0, solid)) + s.paint(yellow, draw(1, more)) + s.paint(dim, draw(2, cells-solid-more))
}

// age returns the time since a moment, in short form.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(now.Sub(since), 0))
}

// left returns the time until a moment in whole seconds, rounded up: 0s only when the moment has come.
func left(until, now time.Time) string {
	return (max(until.Sub(now), 0) + time.Second - 1).Truncate(time.Second).String()
}
