// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const root = "../../"

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(root + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// A krewPlugin has the fields of a plugin's manifest. It is decoded strictly: krew refuses unknown fields too.
type krewPlugin struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec struct {
		Version          string         `yaml:"version"`
		Homepage         string         `yaml:"homepage"`
		ShortDescription string         `yaml:"shortDescription"`
		Description      string         `yaml:"description"`
		Caveats          string         `yaml:"caveats"`
		Platforms        []krewPlatform `yaml:"platforms"`
	} `yaml:"spec"`
}

type krewPlatform struct {
	Selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	} `yaml:"selector"`
	URI    string `yaml:"uri"`
	SHA256 string `yaml:"sha256"`
	Bin    string `yaml:"bin"`
}

// TestKrewManifest: the manifest has one platform for each archive, and meets the rules of krew's index.
func TestKrewManifest(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"linux_amd64", "windows_amd64"} {
		if err := os.WriteFile(filepath.Join(folder, "kubectl-canary_"+name+".tar.gz"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := krewManifest("v1.2.3", folder)
	if err != nil {
		t.Fatal(err)
	}
	var plugin krewPlugin
	decoder := yaml.NewDecoder(bytes.NewReader(manifest))
	decoder.KnownFields(true)
	if err := decoder.Decode(&plugin); err != nil {
		t.Fatalf("%v:\n%s", err, manifest)
	}
	if plugin.Kind != "Plugin" || plugin.Metadata.Name != "canary" || plugin.Spec.Version != "v1.2.3" {
		t.Errorf("got %+v", plugin)
	}
	if short := plugin.Spec.ShortDescription; len(short) > 50 || strings.HasSuffix(short, ".") || strings.Contains(short, "kubectl") {
		t.Errorf("krew refuses %q", short)
	}
	const releases = "https://github.com/canaryrollout/canaryrollout/releases/download/v1.2.3/kubectl-canary_"
	sum := func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return hex.EncodeToString(sum[:])
	}
	linux := krewPlatform{URI: releases + "linux_amd64.tar.gz", SHA256: sum("linux_amd64"), Bin: "kubectl-canary"}
	linux.Selector.MatchLabels = map[string]string{"os": "linux", "arch": "amd64"}
	windows := krewPlatform{URI: releases + "windows_amd64.tar.gz", SHA256: sum("windows_amd64"), Bin: "kubectl-canary.exe"}
	windows.Selector.MatchLabels = map[string]string{"os": "windows", "arch": "amd64"}
	if diff := cmp.Diff([]krewPlatform{linux, windows}, plugin.Spec.Platforms); diff != "" {
		t.Error(diff)
	}
	if _, err := krewManifest("v1.2.3", t.TempDir()); err == nil {
		t.Error("a manifest without platforms was made")
	}
}

func TestNotes(t *testing.T) {
	const changelog = "# Changelog\n\n## Unreleased\n\n## v0.2.0 (2026-12-01)\n\n### Added\n\n- A.\n\n## v0.1.0\n\nThe first.\n"
	for version, want := range map[string]string{"v0.2.0": "### Added\n\n- A.\n", "v0.1.0": "The first.\n", "v0.3.0": "", "Unreleased": ""} {
		got, err := notes([]byte(changelog), version)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
}

// TestChartValues: the released chart installs the image that was pushed, by its digest.
func TestChartValues(t *testing.T) {
	values := read(t, "config/chart/values.yaml")
	got, err := chartValues([]byte(values), "registry.example:5000/team/canaryrollout@sha256:0123")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(values, "  repository: canaryrollout/canaryrollout\n", "  repository: registry.example:5000/team/canaryrollout\n", 1)
	want = strings.Replace(want, "  digest: \"\"\n", "  digest: sha256:0123\n", 1)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if _, err := chartValues([]byte(values), "canaryrollout:v1"); err == nil {
		t.Error("a tag was accepted")
	}
	if _, err := chartValues([]byte("image: {repository: a}\n"), "a@sha256:0"); err == nil {
		t.Error("values without a digest were accepted")
	}
}

func TestProvenance(t *testing.T) {
	variables := map[string]string{
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_REF": "refs/tags/v1", "GITHUB_SHA": "abc",
		"GITHUB_WORKFLOW_REF": "o/r/.github/workflows/release.yaml@refs/tags/v1", "GITHUB_EVENT_NAME": "push", "GITHUB_REPOSITORY_ID": "1",
		"GITHUB_REPOSITORY_OWNER_ID": "2", "GITHUB_RUN_ID": "3", "GITHUB_RUN_ATTEMPT": "4", "RUNNER_ENVIRONMENT": "github-hosted",
	}
	encoded, err := provenance(func(name string) string { return variables[name] })
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		BuildDefinition struct {
			ExternalParameters   struct{ Workflow map[string]string }
			ResolvedDependencies []struct {
				URI    string
				Digest map[string]string
			}
		}
		RunDetails struct{ Builder, Metadata map[string]string }
	}
	if err := json.Unmarshal(encoded, &got); err != nil {
		t.Fatal(err)
	}
	workflow := map[string]string{"ref": "refs/tags/v1", "repository": "https://github.com/o/r", "path": ".github/workflows/release.yaml"}
	if diff := cmp.Diff(workflow, got.BuildDefinition.ExternalParameters.Workflow); diff != "" {
		t.Error(diff)
	}
	if source := got.BuildDefinition.ResolvedDependencies[0]; source.URI != "git+https://github.com/o/r@refs/tags/v1" || source.Digest["gitCommit"] != "abc" {
		t.Errorf("source %v", source)
	}
	if run := got.RunDetails; run.Builder["id"] != "https://github.com/o/r/.github/workflows/release.yaml@refs/tags/v1" ||
		run.Metadata["invocationId"] != "https://github.com/o/r/actions/runs/3/attempts/4" {
		t.Errorf("run %v", run)
	}
	delete(variables, "GITHUB_SHA")
	if _, err := provenance(func(name string) string { return variables[name] }); err == nil {
		t.Error("a provenance without a commit was made")
	}
}

// TestWorkflow: what the release workflow runs is valid bash and calls targets that exist, and only its one job has rights.
func TestWorkflow(t *testing.T) {
	var workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct{ Steps []struct{ Run string } }
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/workflows/release.yaml")), &workflow); err != nil {
		t.Fatal(err)
	}
	if workflow.Permissions == nil || len(workflow.Permissions) > 0 {
		t.Errorf("the permissions of all jobs are %v", workflow.Permissions)
	}
	makefile, scripts := read(t, "Makefile"), 0
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if step.Run == "" {
				continue
			}
			scripts++
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(step.Run)
			if output, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s\n%s", output, step.Run)
			}
			for _, called := range regexp.MustCompile(`(?m)^\s*make ([\w-]+)`).FindAllStringSubmatch(step.Run, -1) {
				if !strings.Contains(makefile, "\n"+called[1]+":") {
					t.Errorf("the Makefile has no target %s", called[1])
				}
			}
		}
	}
	if scripts == 0 {
		t.Error("the workflow runs nothing")
	}
}

// TestVersionsAgree: a release changes the version in all of these places.
func TestVersionsAgree(t *testing.T) {
	version := regexp.MustCompile(`(?m)^VERSION \?= (v\d+\.\d+\.\d+)$`).FindStringSubmatch(read(t, "Makefile"))
	if version == nil {
		t.Fatal("the Makefile has no VERSION")
	}
	for file, pattern := range map[string]string{
		"config/chart/Chart.yaml":        `(?m)^(?:version|appVersion): v?(\S+)$`,
		"config/manager/deployment.yaml": `image: canaryrollout/canaryrollout:v(\S+)`,
		"README.md":                      `canaryrollout:v(\d\S+)`,
		"docs/install.md":                `canaryrollout:v(\d\S+)`,
		"docs/getting-started.md":        `canaryrollout:v(\d\S+)`,
		"docs/cli.md":                    `kubectl-canary v(\d\S+)`,
	} {
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, file), -1)
		if len(found) == 0 {
			t.Errorf("%s has no version: %s", file, pattern)
		}
		for _, match := range found {
			if "v"+match[1] != version[1] {
				t.Errorf("%s has %q, and the Makefile %s", file, match[0], version[1])
			}
		}
	}
}
