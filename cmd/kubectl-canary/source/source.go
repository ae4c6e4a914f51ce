// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package source reads manifests like kubectl's -f and -R, but never from a cluster or the network.
package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// Files holds the flags that name manifests.
type Files struct {
	Names     []string
	Recursive bool
}

// AddFlags adds -f and -R.
func (f *Files) AddFlags(command *cobra.Command) {
	command.Flags().StringSliceVarP(&f.Names, "filename", "f", nil, "Files or directories with manifests; - for standard input.")
	command.Flags().BoolVarP(&f.Recursive, "recursive", "R", false, "Also read manifests in subdirectories of -f.")
	// It fails only if the flag does not exist.
	_ = command.MarkFlagFilename("filename", "yaml", "yml", "json")
}

// Read reads all manifests, each file once.
func (f *Files) Read(stdin io.Reader) ([]lint.Source, error) {
	var sources []lint.Source
	for _, name := range f.Names {
		read, err := f.read(name, stdin)
		if err != nil {
			return nil, err
		}
		for _, source := range read {
			if !slices.ContainsFunc(sources, func(known lint.Source) bool { return known.Name == source.Name }) {
				sources = append(sources, source)
			}
		}
	}
	return sources, nil
}

func (f *Files) read(name string, stdin io.Reader) ([]lint.Source, error) {
	switch {
	case name == "-":
		content, err := io.ReadAll(stdin)
		return []lint.Source{{Name: "stdin", Content: content}}, err
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		return nil, fmt.Errorf("%s is not read, because this command works offline: download it, and pass the file name or - to -f", name)
	}
	paths, err := f.find(name)
	if err != nil {
		return nil, err
	}
	var sources []lint.Source
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sources = append(sources, lint.Source{Name: path, Content: content})
	}
	return sources, nil
}

// find lists the manifests in a directory. A file that is named directly may have any extension.
func (f *Files) find(root string) (paths []string, err error) {
	info, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist", root)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{root}, nil
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && !f.Recursive:
			return fs.SkipDir
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			paths = append(paths, path)
		}
		return nil
	})
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("%s has no files .yaml, .yml or .json%s", root, map[bool]string{false: ": -R looks below it, too"}[f.Recursive])
	}
	return paths, err
}
