// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bubble runs tests with the fake clock of testing/synctest.
package bubble

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Test is synctest.Test on one processor. The timers of a bubble share one context of the race detector. If goroutines on two
// processors receive from timers at the same moment, both use it, and the detector crashes (in Go 1.26,
// runtime.(*timer).maybeRunChan). The tests of a package that use it must not run in parallel.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}
