// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version knows which build of our programs runs.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// Version is set by a release build, by the linker.
var Version = ""

// Info is about a build.
type Info struct {
	// Version is that of the release; without one that which Go took from the repository, or unknown.
	Version string
	// Revision is the commit, with -dirty behind it if the sources had changes; or unknown.
	Revision string
	// GoVersion is the compiler's.
	GoVersion string
	// Platform is the operating system and the architecture, as in linux/amd64.
	Platform string
}

// Get is about the running program.
func Get() Info {
	info := Info{Version: Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		info.Version = cmp.Or(info.Version, build.Main.Version)
		info.Revision = revision(build.Settings)
	}
	info.Version, info.Revision = cmp.Or(info.Version, "unknown"), cmp.Or(info.Revision, "unknown")
	return info
}

func revision(settings []debug.BuildSetting) string {
	var commit, suffix string
	for _, setting := range settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			suffix = "-dirty"
		}
	}
	if commit == "" {
		return ""
	}
	return commit + suffix
}
