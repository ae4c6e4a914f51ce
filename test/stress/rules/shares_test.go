// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// split returns a hundred answers a second, the first share of each hundred from the canary b.
func split(from, to float64, share int) (results []load.Result) {
	for i := range int((to - from) * 100) {
		revision := "a"
		if i%100 < share {
			revision = "b"
		}
		results = append(results, answer(from+float64(i)/100, "", revision))
	}
	return results
}

// measured returns the spans of shares in seconds, with their weights.
func measured(shares []Share) (all [][3]float64) {
	for _, s := range shares {
		all = append(all, [3]float64{s.From.Sub(second(0)).Seconds(), s.To.Sub(second(0)).Seconds(), float64(s.Weight)})
	}
	return all
}

// TestSharesAreMeasured: shares are measured whenever a weight is verified and canary and stable differ, and at no
// other time.
func TestSharesAreMeasured(t *testing.T) {
	whole := [][3]float64{{11.4, 19.8, 0}, {22.4, 39.8, 20}, {42.4, 44.8, 0}}
	for name, tc := range map[string]struct {
		foreign []Foreign
		killed  []Span
		want    [][3]float64
	}{
		"undisturbed": {want: whole},
		"overwritten": {
			foreign: []Foreign{{Span: Span{second(30), second(30.1)}, Resource: Routes}},
			want:    [][3]float64{{11.4, 19.8, 0}, {22.4, 29.8, 20}, {31.5, 39.8, 20}, {42.4, 44.8, 0}},
		},
		"never reverted": {
			foreign: []Foreign{{Span: Span{second(30), forever}, Resource: Services}},
			want:    [][3]float64{{11.4, 19.8, 0}, {22.4, 29.8, 20}},
		},
		"killed, too little left": {
			killed: []Span{{second(12), second(19)}, {second(25), second(27)}},
			want:   [][3]float64{{22.4, 25, 20}, {27, 39.8, 20}, {42.4, 44.8, 0}},
		},
		"killed before and after": {killed: []Span{{second(0), second(1)}, {second(50), second(51)}}, want: whole},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := Evidence{Moments: release(), Foreign: tc.foreign, Killed: tc.killed, Lag: lag, Until: second(60)}
			if diff := cmp.Diff(tc.want, measured(evidence.Shares())); diff != "" {
				t.Errorf("measured (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSharesFit: the share of the weight fits. Another share, or a tester who did not reach the canary, does not.
func TestSharesFit(t *testing.T) {
	for name, tc := range map[string]struct {
		extra []load.Result
		share int
		fits  bool
	}{
		"as it should be":     {share: 20, fits: true},
		"a little more":       {share: 22, fits: true},
		"too many":            {share: 30},
		"too few":             {share: 12},
		"none":                {share: 0},
		"testers":             {share: 20, extra: []load.Result{answer(30, testers, "b")}, fits: true},
		"a misrouted tester":  {share: 20, extra: []load.Result{answer(30, testers, "a")}},
		"excused failures":    {share: 20, extra: slices.Repeat([]load.Result{{Start: second(30), Err: errLost}}, 700), fits: true},
		"one in many at zero": {share: 20, extra: []load.Result{answer(15, "", "b")}},
	} {
		t.Run(name, func(t *testing.T) {
			results := append(split(11, 20, 0), split(20, 40, tc.share)...)
			results = append(results, split(40, 60, 0)...)
			for _, extra := range tc.extra {
				results = insert(results, extra)
			}
			fits := true
			for _, share := range (Evidence{Moments: release(), Traffic: results, Lag: lag, Until: second(60)}).Shares() {
				t.Log(share)
				fits = fits && share.Fits()
			}
			if fits != tc.fits {
				t.Errorf("fits is %t", fits)
			}
		})
	}
}
