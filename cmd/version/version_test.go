// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

// TestGet checks that every build has a version and a revision, and that a release build reports its own version.
func TestGet(t *testing.T) {
	t.Cleanup(func() { Version = "" })
	if info := Get(); info.Version == "" || info.Revision == "" || info.GoVersion != runtime.Version() {
		t.Errorf("without a release: %+v", info)
	}
	Version = "v1.2.3"
	if info := Get(); info.Version != "v1.2.3" {
		t.Errorf("a release is %+v", info)
	}
	commit, modified := debug.BuildSetting{Key: "vcs.revision", Value: "abc"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	if got := revision([]debug.BuildSetting{modified, commit}); got != "abc-dirty" {
		t.Errorf("a changed commit is %q", got)
	}
	if got := revision([]debug.BuildSetting{modified}); got != "" {
		t.Errorf("no commit is %q", got)
	}
}
