// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"regexp"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// TestNotes: the notes tell users what to do after the installation, and what to do before uninstalling.
func TestNotes(t *testing.T) {
	tests := map[string]struct {
		set     string
		want    []string
		wantNot string
	}{
		"default": {"", []string{
			"works in all namespaces",
			"kubectl -n canaryrollout-system rollout status deployment/canaryrollout-controller-manager\n",
			"kubectl delete canaryrollouts -A --all --wait\n  helm uninstall canaryrollout -n canaryrollout-system\n",
			"in metrics.readers",
		}, "dashboard"},
		"one namespace": {"watchNamespaces={shop}", []string{
			"works in the namespace shop", "kubectl delete canaryrollouts -n shop --all --wait\n",
		}, "all namespaces"},
		"two namespaces": {"watchNamespaces={shop,books}", []string{
			"works in the namespaces shop, books", "kubectl delete canaryrollouts -n shop --all --wait\n  kubectl delete canaryrollouts -n books --all --wait\n",
		}, "all namespaces"},
		"CRD not kept": {"crds.keep=false", []string{"helm uninstall deletes the CustomResourceDefinition"}, ""},
		"dashboard":    {"dashboard.enabled=true,dashboard.hosts={a.example}", []string{"in front of\nService canaryrollout-dashboard, "}, ""},
		"readers":      {"metrics.readers[0].name=prometheus,metrics.readers[0].namespace=monitoring", []string{"BEFORE YOU UNINSTALL"}, "in metrics.readers"},
	}
	for name, tc := range tests {
		output, err := helm.Client{Home: t.TempDir()}.Run(t.Context(), "install", release, helm.Chart(), "--namespace="+namespace,
			"--dry-run=client", "--set="+tc.set)
		if err != nil {
			t.Fatal(err)
		}
		_, notes, _ := strings.Cut(output, "\nNOTES:\n")
		for _, want := range tc.want {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: the notes do not say %q:\n%s", name, want, notes)
			}
		}
		if tc.wantNot != "" && strings.Contains(notes, tc.wantNot) {
			t.Errorf("%s: the notes say %q:\n%s", name, tc.wantNot, notes)
		}
	}
}

// TestDocumentedValues: the chart accepts every value that the documentation sets, and has every value that it names.
func TestDocumentedValues(t *testing.T) {
	var args []string
	flag := regexp.MustCompile(`--set "?([A-Za-z.]+=[^\s"]+)`)
	for _, file := range []string{"../../README.md", "../../docs/install.md", helm.Chart() + "/README.md"} {
		for _, match := range flag.FindAllStringSubmatch(read(t, file), -1) {
			args = append(args, "--set="+match[1])
		}
	}
	if len(args) < 5 {
		t.Fatalf("the documentation sets only %v", args)
	}
	if _, err := template(t, args...); err != nil {
		t.Error(err)
	}
	row := regexp.MustCompile("(?m)^\\| (`[a-zA-Z.`, ]+`) \\| (?:`[a-z0-9]+`|empty|none)? ?\\|")
	rows := row.FindAllStringSubmatch(read(t, "../../docs/install.md"), -1)
	if len(rows) < 8 {
		t.Fatalf("docs/install.md has a table of %d values", len(rows))
	}
	for _, match := range rows {
		for value := range strings.SplitSeq(strings.ReplaceAll(match[1], "`", ""), ", ") {
			// The schema refuses unknown values, so the error names an unknown one, whatever it is set to.
			_, err := template(t, `--set-json=`+value+`={"no": "such"}`)
			if err == nil || strings.Contains(err.Error(), "additional properties '"+value[strings.LastIndex(value, ".")+1:]+"'") {
				t.Errorf("docs/install.md tells of %s, which the chart does not have: %v", value, err)
			}
		}
	}
}
