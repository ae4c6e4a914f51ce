// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// provenance returns the predicate of a SLSA provenance (https://slsa.dev/provenance/v1) for the running workflow, as the
// build type https://actions.github.io/buildtypes/workflow/v1 defines it. env returns a variable of the runner.
func provenance(env func(string) string) ([]byte, error) {
	for _, name := range []string{"GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF", "GITHUB_SHA", "GITHUB_WORKFLOW_REF",
		"GITHUB_EVENT_NAME", "GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY_OWNER_ID", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "RUNNER_ENVIRONMENT"} {
		if env(name) == "" {
			return nil, fmt.Errorf("%s is not set: run this in a GitHub workflow", name)
		}
	}
	repository := env("GITHUB_SERVER_URL") + "/" + env("GITHUB_REPOSITORY")
	// OWNER/REPOSITORY/PATH@REF
	path, _, _ := strings.Cut(strings.TrimPrefix(env("GITHUB_WORKFLOW_REF"), env("GITHUB_REPOSITORY")+"/"), "@")
	type object = map[string]any
	return json.MarshalIndent(object{
		"buildDefinition": object{
			"buildType": "https://actions.github.io/buildtypes/workflow/v1",
			"externalParameters": object{
				"workflow": object{"ref": env("GITHUB_REF"), "repository": repository, "path": path},
			},
			"internalParameters": object{"github": object{
				"event_name":          env("GITHUB_EVENT_NAME"),
				"repository_id":       env("GITHUB_REPOSITORY_ID"),
				"repository_owner_id": env("GITHUB_REPOSITORY_OWNER_ID"),
				"runner_environment":  env("RUNNER_ENVIRONMENT"),
			}},
			"resolvedDependencies": []object{{
				"uri":    "git+" + repository + "@" + env("GITHUB_REF"),
				"digest": object{"gitCommit": env("GITHUB_SHA")},
			}},
		},
		"runDetails": object{
			"builder":  object{"id": env("GITHUB_SERVER_URL") + "/" + env("GITHUB_WORKFLOW_REF")},
			"metadata": object{"invocationId": repository + "/actions/runs/" + env("GITHUB_RUN_ID") + "/attempts/" + env("GITHUB_RUN_ATTEMPT")},
		},
	}, "", "  ")
}
