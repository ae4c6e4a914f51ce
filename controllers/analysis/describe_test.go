// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// TestDescribe shows the sentences that the person on call reads.
func TestDescribe(t *testing.T) {
	onlyRatio := mustTest(Comparison{Ratio: 1.25, FalseAlarm: 0.001})
	var text strings.Builder
	for _, tc := range []struct {
		name                                           string
		test                                           *Test
		canaryBad, canaryTotal, stableBad, stableTotal float64
	}{
		{"nothing was counted", usual, 0, 0, 0, 0},
		{"only stable was counted", usual, 0, 0, 3, 900},
		{"far worse", usual, 34, 1120, 12, 10034},
		{"far worse, stable never fails", usual, 34, 1120, 0, 10034},
		{"all is bad", usual, 90, 90, 3, 812},
		{"only the ratio counts", onlyRatio, 110, 11200, 12, 100341},
		{"far worse, counters of pods", byPod, 34, 1120, 12, 10034},
		{"a little worse", usual, 9, 410, 31, 3702},
		{"worse, and tolerated", usual, 8, 11200, 1, 100341},
		{"two requests", usual, 1, 2, 0, 18},
		{"equal, early", usual, 0, 250, 1, 2250},
		{"equal, late", usual, 11, 9480, 98, 85342},
		{"equal, and worse than the tolerated rate", usual, 1003, 50120, 8991, 450377},
		{"very good", usual, 1, 1234567, 2, 11111111},
		{"of a source that extrapolates", usual, 3.49, 1120.3, 11.7, 10033.8},
		{"bake, as before", bakeAfter(12, 5210), 17, 8350, 0, 0},
		{"bake, worse than before", bakeAfter(12, 5210), 113, 8350, 0, 0},
		{"bake, a little worse", bakeAfter(12, 5210), 41, 8350, 0, 0},
		{"bake, nothing known", bakeAfter(0, 3), 113, 8350, 0, 0},
	} {
		var seen Evidence
		tc.test.Add(&seen, Counts{tc.canaryBad, tc.canaryTotal, tc.stableBad, tc.stableTotal})
		fmt.Fprintf(&text, "%s: %s\n  %s\n", tc.name, tc.test.Verdict(&seen), tc.test.Describe(&seen))
		if tc.test.Verdict(&seen) == Open {
			fmt.Fprintf(&text, "  Inconclusive: %s\n", tc.test.DescribeInconclusive(&seen))
		}
	}
	turned := evidenceOf(3, 2500, 21, 22500)
	usual.Add(turned, Counts{40, 1000, 9, 9000})
	fmt.Fprintf(&text, "far worse after a good time: %s\n  %s\n", usual.Verdict(turned), usual.Describe(turned))
	bake, baked := bakeAfter(12, 5210), Evidence{}
	bake.Add(&baked, Counts{CanaryBad: 3, CanaryTotal: 2500})
	bake.Add(&baked, Counts{CanaryBad: 40, CanaryTotal: 1000})
	fmt.Fprintf(&text, "bake, far worse after a good time: %s\n  %s\n", bake.Verdict(&baked), bake.Describe(&baked))
	golden.Check(t, "testdata/describe.golden", text.String())
}

func bakeAfter(bad, total float64) *Test {
	test, err := NewBakeTest(usual.comparison, Counts{CanaryBad: bad, CanaryTotal: total})
	if err != nil {
		panic(err)
	}
	return test
}
