// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version returns the build information of the running program.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// Version is set by the linker in a release build.
var Version = ""

// Info describes a build.
type Info struct {
	// Version is the release; otherwise the version that Go derived from the repository, or unknown.
	Version string
	// Revision is the commit, with the suffix -dirty if the working tree had changes; or unknown.
	Revision string
	// GoVersion is the version of the compiler.
	GoVersion string
	// Platform is the operating system and architecture, for example linux/amd64.
	Platform string
}

// Get returns the build information of the running program.
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
