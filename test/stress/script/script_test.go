// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package script

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDraw: a seed always gives the same script, even after an update of Go. Otherwise a kept seed no longer
// reproduces its bug.
func TestDraw(t *testing.T) {
	want := []string{"4.0s image 2", "7.7s abort true", "11.0s promote", "11.9s autoscale 5", "13.3s abort too many errors"}
	var got []string
	for _, step := range Draw(1, 15*time.Second) {
		got = append(got, step.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the script of seed 1 has changed, so kept seeds mean something else (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Draw(7, time.Hour), Draw(7, time.Hour)); diff != "" {
		t.Errorf("two scripts of one seed differ:\n%s", diff)
	}
	if cmp.Equal(Draw(7, time.Minute), Draw(8, time.Minute)) {
		t.Error("two seeds have one script")
	}
}

// TestDrawWithin: every operation is drawn, within its bounds.
func TestDrawWithin(t *testing.T) {
	counts := map[Op]int{}
	outages := 0
	for seed := range uint64(20) {
		const length = 20 * time.Minute
		last := time.Duration(0)
		for i, step := range Draw(seed, length) {
			counts[step.Op]++
			if gap := step.At - last; gap < shortestGap || step.At >= length {
				t.Errorf("seed %d: %s comes %s after the former step", seed, step, gap)
			}
			last = step.At
			if step.Op == StopAPI {
				last += step.For
			}
			if step.For == longOutage {
				outages++
			}
			if (step.Op == Scale || step.Op == Autoscale) && (step.Number < fewest || step.Number > most) || step.Op == Image && (step.Number < 1 || step.Number > versions) {
				t.Errorf("seed %d: %s", seed, step)
			}
			if i == 0 && (step.Op != Image || step.Number == 1) {
				t.Errorf("seed %d begins with %s", seed, step)
			}
		}
	}
	if outages != 20 {
		t.Errorf("%d long outages in 20 scripts, want one in each", outages)
	}
	sum := 0
	for _, row := range table {
		sum += row.weight
	}
	all := 0
	for _, n := range counts {
		all += n
	}
	for _, row := range table {
		got, want := float64(counts[row.op])/float64(all), float64(row.weight)/float64(sum)
		if got < want/2 || got > 2*want {
			t.Errorf("%s comes up in %.3f of the steps, want %.3f", row.op, got, want)
		}
	}
	for _, row := range edits {
		if counts[row.op] < 20 {
			t.Errorf("%s comes up %d times in 20 scripts", row.op, counts[row.op])
		}
	}
}

// TestShort: the scripts that always run cover every operation.
func TestShort(t *testing.T) {
	counts := map[Op]int{}
	for _, seed := range Short {
		for _, step := range Draw(seed, ShortForm) {
			counts[step.Op]++
		}
	}
	for _, row := range slices.Concat(table, edits) {
		if counts[row.op] == 0 {
			t.Errorf("%s does not come up", row.op)
		}
	}
	t.Log(counts)
}

// TestDrawShort: a short script has no long outage, which would fill most of it.
func TestDrawShort(t *testing.T) {
	for seed := range uint64(100) {
		for _, step := range Draw(seed, LongForm-time.Second) {
			if step.For == longOutage {
				t.Fatalf("seed %d: %s", seed, step)
			}
		}
	}
}

// TestString: the text contains everything needed to repeat the step by hand.
func TestString(t *testing.T) {
	for want, step := range map[string]Step{
		"1.5s promote":                {At: 1500 * time.Millisecond, Op: Promote},
		"2.0s image 3":                {At: 2 * time.Second, Op: Image, Number: 3},
		"3.0s kill-pod canary fail 2": {At: 3 * time.Second, Op: KillPod, What: "canary " + KillFail, Number: 2},
		"4.0s stop-api for 5s":        {At: 4 * time.Second, Op: StopAPI, For: shortOutage},
		"5.0s abort too many errors":  {At: 5 * time.Second, Op: Abort, What: "too many errors"},
	} {
		if got := strings.TrimSpace(step.String()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
