// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install tests the script that make deploy and make build-installer use.
package install

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	// shipped is the manager's image in config/default.
	shipped = "image: canaryrollout/canaryrollout:"
)

// TestImageIsReplaced: the image, in each form that it can have, is the only difference from config/default.
func TestImageIsReplaced(t *testing.T) {
	t.Parallel()
	plain, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", "../../config/default").Output()
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(plain), shipped)
	_, after, _ = strings.Cut(after, "\n")
	for _, image := range []string{
		"canaryrollout/canaryrollout:v9", "canaryrollout:v9", "registry.example:5000/team/canaryrollout:v9",
		"registry.example:5000/team/canaryrollout@" + digest, "team/canaryrollout:v9@" + digest,
	} {
		got, err := exec.CommandContext(t.Context(), "./manifests.sh", image).Output()
		if err != nil {
			t.Fatalf("%s: %v", image, err)
		}
		if diff := cmp.Diff(before+"image: "+image+"\n"+after, string(got)); diff != "" {
			t.Errorf("%s:\n%s", image, diff)
		}
	}
}

// TestImageWithoutVersionIsRefused: it would be the newest of whatever there is when a pod starts.
func TestImageWithoutVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"canaryrollout", "registry.example:5000/team/canaryrollout", ""} {
		if output, err := exec.CommandContext(t.Context(), "./manifests.sh", image).CombinedOutput(); err == nil {
			t.Errorf("%q was accepted:\n%s", image, output)
		}
	}
}
