// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command release prints the parts of a release that are rendered, not built:
//
//	go run ./hack/release notes v0.2.0               the version's section of CHANGELOG.md
//	go run ./hack/release values REPOSITORY@DIGEST   the chart's values.yaml with this image
//	go run ./hack/release krew v0.2.0 FOLDER         the plugin's krew manifest, for the archives in a folder
//	go run ./hack/release provenance                 the provenance predicate, in a GitHub workflow
//
// Run it in the repository's folder.
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	output, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
	_, _ = os.Stdout.Write(output)
}

func run(args []string) ([]byte, error) {
	command, args := append(args, "")[0], args[min(1, len(args)):]
	switch {
	case command == "notes" && len(args) == 1:
		changelog, err := os.ReadFile("CHANGELOG.md")
		if err != nil {
			return nil, err
		}
		return notes(changelog, args[0])
	case command == "values" && len(args) == 1:
		values, err := os.ReadFile("config/chart/values.yaml")
		if err != nil {
			return nil, err
		}
		return chartValues(values, args[0])
	case command == "krew" && len(args) == 2:
		return krewManifest(args[0], args[1])
	case command == "provenance" && len(args) == 0:
		return provenance(os.Getenv)
	default:
		return nil, errors.New("usage: notes VERSION | values REPOSITORY@DIGEST | krew VERSION FOLDER | provenance")
	}
}
