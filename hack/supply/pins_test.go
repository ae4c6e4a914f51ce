// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package supply checks that what is built does not change without a commit.
package supply

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// lines returns the lines of a file that match the prefix, without it.
func lines(t *testing.T, file, prefix string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^`+prefix+`(.*)$`).FindAllStringSubmatch(string(content), -1) {
		found = append(found, match[1])
	}
	if len(found) == 0 {
		t.Errorf("%s has no line that begins with %s", file, prefix)
	}
	return found
}

// TestActionsArePinned: the tag of an action can be moved to other code, which would run with the rights of the
// workflow. The version in the comment shows what to compare the commit with.
func TestActionsArePinned(t *testing.T) {
	workflows, err := filepath.Glob("../../.github/workflows/*.yaml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, workflow := range workflows {
		for _, uses := range lines(t, workflow, ` *(?:- )?uses: `) {
			if !pinned.MatchString(uses) {
				t.Errorf("%s uses %s: write the commit, and the version behind it, as in hack/supply/README.md", workflow, uses)
			}
		}
	}
}

// TestImagesArePinned: base images are pinned by digest.
func TestImagesArePinned(t *testing.T) {
	pinned := regexp.MustCompile(`^(--platform=\S+ )?(scratch|\S+@sha256:[0-9a-f]{64})( AS \w+)?$`)
	for _, from := range lines(t, "../../Dockerfile", "FROM ") {
		if !pinned.MatchString(from) {
			t.Errorf("the image is built from %s: name it by its digest", from)
		}
	}
}

// TestImageSaysItsVersion: the label, the program and the tag have the same version.
func TestImageSaysItsVersion(t *testing.T) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		string(dockerfile): {`org.opencontainers.image.version="$VERSION"`, `org.opencontainers.image.revision="$REVISION"`},
		string(makefile):   {"--build-arg=VERSION=$(VERSION)", "/cmd/version.Version=$(VERSION)", "IMG ?= canaryrollout/canaryrollout:$(VERSION)"},
	} {
		for _, want := range wants {
			if !strings.Contains(file, want) {
				t.Errorf("%s is missing in\n%s", want, file)
			}
		}
	}
}
