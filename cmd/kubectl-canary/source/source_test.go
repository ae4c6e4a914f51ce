// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"a.yaml", "b.json", "notes.txt", "below/c.yml", "empty/notes.txt"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
	tests := map[string]struct {
		files Files
		want  []string
		err   string
	}{
		"a file":              {files: Files{Names: []string{"a.yaml"}}, want: []string{"a.yaml"}},
		"whatever its name":   {files: Files{Names: []string{"notes.txt"}}, want: []string{"notes.txt"}},
		"a directory":         {files: Files{Names: []string{"."}}, want: []string{"a.yaml", "b.json"}},
		"and those below":     {files: Files{Names: []string{"."}, Recursive: true}, want: []string{"a.yaml", "b.json", "below/c.yml"}},
		"each once":           {files: Files{Names: []string{"a.yaml", "a.yaml", "below"}}, want: []string{"a.yaml", "below/c.yml"}},
		"standard input":      {files: Files{Names: []string{"-"}}, want: []string{"stdin"}},
		"nothing of the kind": {files: Files{Names: []string{"empty"}}, err: "empty has no files .yaml, .yml or .json: -R looks below it, too"},
		"no such file":        {files: Files{Names: []string{"c.yaml"}}, err: "c.yaml does not exist"},
		"an address": {files: Files{Names: []string{"https://example.com/a.yaml"}},
			err: "https://example.com/a.yaml is not read, because this command works offline: download it, and pass the file name or - to -f"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources, err := tc.files.Read(strings.NewReader("stdin"))
			var got []string
			for _, source := range sources {
				got = append(got, source.Name)
				if string(source.Content) != source.Name {
					t.Errorf("%s has the content of %s", source.Name, source.Content)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("sources differ (-want +got):\n%s", diff)
			}
			if said := ""; err != nil || tc.err != "" {
				if err != nil {
					said = err.Error()
				}
				if said != tc.err {
					t.Errorf("error %q, want %q", said, tc.err)
				}
			}
		})
	}
}
