// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"strings"
	"testing"
)

// parse reads flags as the program does.
func parse(t *testing.T, args ...string) *options {
	t.Helper()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o := newOptions(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTimings: timings that would let two managers lead at once, or a lease outlive its process, are refused by name.
func TestTimings(t *testing.T) {
	const lease, renew, retry, shutdown = "--leader-election-lease-duration", "--leader-election-renew-deadline",
		"--leader-election-retry-period", "--shutdown-timeout"
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the defaults":             {nil, ""},
		"slower":                   {[]string{lease + "=60s", renew + "=40s", retry + "=5s", shutdown + "=1s"}, ""},
		"a deadline after the end": {[]string{lease + "=10s"}, lease + " is 10s: it must be longer than " + renew + ", 10s"},
		"one retry":                {[]string{renew + "=2400ms"}, retry + " is 2s: it must be above 0, and 1.2 times it below " + renew + ", 2.4s"},
		"no retry":                 {[]string{retry + "=0s"}, retry + " is 0s"},
		"no time to end":           {[]string{shutdown + "=0s"}, shutdown + " is 0s"},
	} {
		err := parse(t, tc.args...).validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
