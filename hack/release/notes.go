// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// notes returns the changelog's section for a version, without its heading.
func notes(changelog []byte, version string) ([]byte, error) {
	for section := range strings.SplitSeq(string(changelog), "\n## ") {
		heading, text, _ := strings.Cut(section, "\n")
		name, _, _ := strings.Cut(heading, " ")
		if name != version {
			continue
		}
		if text = strings.TrimSpace(text); text == "" {
			return nil, fmt.Errorf("the section %s of CHANGELOG.md is empty", version)
		}
		return []byte(text + "\n"), nil
	}
	return nil, fmt.Errorf("CHANGELOG.md has no section %s: name the section of what was unreleased after it", version)
}
