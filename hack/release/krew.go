// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed canary.yaml.tpl
var krewTemplate string

// A platform is one archive of the plugin.
type platform struct {
	OS, Arch, File, SHA256, Bin string
}

// krewManifest renders the manifest for all archives kubectl-canary_OS_ARCH.tar.gz in the folder.
func krewManifest(version, folder string) ([]byte, error) {
	archives, err := filepath.Glob(filepath.Join(folder, "kubectl-canary_*.tar.gz"))
	if err != nil {
		return nil, err
	}
	if len(archives) == 0 {
		return nil, fmt.Errorf("%s has no kubectl-canary_OS_ARCH.tar.gz", folder)
	}
	var platforms []platform
	for _, archive := range archives {
		made, err := platformOf(archive)
		if err != nil {
			return nil, err
		}
		platforms = append(platforms, made)
	}
	parsed, err := template.New("krew").Parse(krewTemplate)
	if err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	err = parsed.Execute(&manifest, map[string]any{"Version": version, "Platforms": platforms})
	return manifest.Bytes(), err
}

func platformOf(archive string) (platform, error) {
	file := filepath.Base(archive)
	system, arch, named := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(file, "kubectl-canary_"), ".tar.gz"), "_")
	if !named {
		return platform{}, fmt.Errorf("%s is not named kubectl-canary_OS_ARCH.tar.gz", file)
	}
	content, err := os.ReadFile(archive)
	if err != nil {
		return platform{}, err
	}
	sum := sha256.Sum256(content)
	made := platform{OS: system, Arch: arch, File: file, SHA256: hex.EncodeToString(sum[:]), Bin: "kubectl-canary"}
	if system == "windows" {
		made.Bin += ".exe"
	}
	return made, nil
}
