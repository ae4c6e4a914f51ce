// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// samplePlan is the golden table of the sample in package table.
const samplePlan = "../table/testdata/sample.golden"

// sampleFile is the manifest of the sample's CanaryRollout.
var sampleFile = sample.Path(sample.Rollouts)

// offline returns the flags of a machine without a cluster: any attempt to connect fails.
func offline() *genericclioptions.ConfigFlags {
	flags := genericclioptions.NewConfigFlags(false)
	nowhere := "/does/not/exist"
	flags.KubeConfig = &nowhere
	return flags
}

func newPlan(flags *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	o := NewOptions(streams)
	o.Config = flags
	return NewPlanCommand(o)
}

// runPlan runs the command as a shell would, and returns its output and error.
func runPlan(t *testing.T, flags *genericclioptions.ConfigFlags, stdin string, args ...string) (string, error) {
	t.Helper()
	streams, in, out, _ := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	command := newPlan(flags, streams)
	command.SilenceErrors = true
	command.SetOut(out)
	command.SetErr(out)
	command.SetArgs(args)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestPlanOfFile(t *testing.T) {
	got, err := runPlan(t, offline(), "", "-f", sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readText(t, samplePlan), got); diff != "" {
		t.Errorf("plan differs (-want +got):\n%s", diff)
	}
}

// TestDocumentedPlan checks that the output in the documentation is up to date.
func TestDocumentedPlan(t *testing.T) {
	got, err := runPlan(t, offline(), "", "-f", filepath.Dir(sampleFile), "--pod-ready", "20s")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(readText(t, "../../../docs/planning.md"), "```text\n"+got+"```\n") {
		t.Errorf("docs/planning.md does not have\n%s", got)
	}
}

// TestPlanOfSeveral finds the rollouts in a stream with other objects, and prints their plans in order.
func TestPlanOfSeveral(t *testing.T) {
	one := readText(t, sampleFile)
	services := readText(t, sample.Path("services.yaml"))
	second := strings.Replace(one, "name: reviews\n", "name: ratings\n", 1)
	got, err := runPlan(t, offline(), one+"\n---\n"+services+"\n---\n"+second, "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	want := readText(t, samplePlan)
	want += "\n" + strings.Replace(want, "reviews: ", "ratings: ", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plans differ (-want +got):\n%s", diff)
	}
}

// TestPlanSaysWhatHolds checks that stderr shows what would stop the release, because a plan assumes that nothing does.
func TestPlanSaysWhatHolds(t *testing.T) {
	streams, in, out, errOut := genericiooptions.NewTestIOStreams()
	in.WriteString(readText(t, sampleFile) + `
---
{apiVersion: v1, kind: Service, metadata: {name: reviews-canary}, spec: {type: ExternalName, externalName: a.example.com}}
---
{apiVersion: flagger.app/v1beta1, kind: Canary, metadata: {name: old}}
`)
	command := newPlan(offline(), streams)
	command.SetArgs([]string{"-f", "-"})
	if err := command.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = `stdin:3: note: not checked: Canary old is an object of Flagger: kubectl canary convert converts it
stdin:2: spec.type: Service reviews-canary is an ExternalName, which selects no pods: remove type and externalName
`
	if errOut.String() != want || out.String() != readText(t, samplePlan) {
		t.Errorf("got\n%s%swant\n%sand the plan of the sample", errOut, out, want)
	}
}

func TestPlanOutput(t *testing.T) {
	for _, output := range []string{"json", "yaml"} {
		text, err := runPlan(t, offline(), "", "-f", sampleFile, "-o", output, "--pod-ready", "20s")
		if err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &got); err != nil || len(got) != 1 {
			t.Fatalf("%v:\n%s", err, text)
		}
		stages := got[0]["stages"].([]any)
		want := map[string]any{
			"step": 4.0, "name": "Step", "what": "setWeight 10", "pods": map[string]any{"stable": 4.0, "canary": 1.0},
			"weightBefore": 0.0, "weight": 10.0, "headerRoutes": []any{"qa"}, "at": "25s", "for": "0s", "promotions": 1.0,
		}
		if diff := cmp.Diff(want, stages[3]); diff != "" {
			t.Errorf("%s: step 4 differs (-want +got):\n%s", output, diff)
		}
		if got[0]["name"] != "reviews" || got[0]["kind"] != "NextRelease" || got[0]["peakPods"] != 8.0 || len(stages) != 17 {
			t.Errorf("%s: got %v", output, got[0])
		}
	}
}

func TestPlanRefusals(t *testing.T) {
	broken := strings.Replace(readText(t, sampleFile), "setWeight: 10\n", "setWeight: 101\n", 1)
	tests := map[string]struct {
		stdin string
		args  []string
		want  string
	}{
		"nothing":        {args: nil, want: "name one rollout, or give its file with -f"},
		"both":           {args: []string{"reviews", "-f", sampleFile}, want: "name one rollout, or give its file with -f"},
		"two":            {args: []string{"reviews", "ratings"}, want: "name one rollout, or give its file with -f"},
		"unknown output": {args: []string{"reviews", "-o", "wide"}, want: "-o wide is not known: text, json and yaml are"},
		"negative time":  {args: []string{"reviews", "--pod-ready", "-1s"}, want: "--pod-ready must be from 0s to 24h, for example 20s"},
		"deploy of a live": {args: []string{"reviews", "--first-deploy"},
			want: "--first-deploy is for -f: a rollout in the cluster says itself whether it was deployed"},
		"no rollout": {stdin: "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", args: []string{"-f", "-"}, want: "there is no CanaryRollout in these files"},
		"no file":    {args: []string{"-f", "missing.yaml"}, want: "missing.yaml does not exist"},
		"refused": {stdin: broken, args: []string{"-f", "-"}, want: "these files would be refused:\n" +
			"stdin:1: spec.steps[3].setWeight: Invalid value: 101: should be less than or equal to 100"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := runPlan(t, offline(), tc.stdin, tc.args...)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

// apiServer serves one rollout in namespace shop.
func apiServer(t *testing.T, rollout *v1alpha1.CanaryRollout) *genericclioptions.ConfigFlags {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "the API is old"`)
		if r.URL.Path != "/apis/canaryrollout.dev/v1alpha1/namespaces/shop/canaryrollouts/reviews" {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
			return
		}
		_ = json.NewEncoder(w).Encode(rollout)
	}))
	t.Cleanup(server.Close)
	flags, namespace := offline(), "shop"
	empty := ""
	flags.KubeConfig, flags.APIServer, flags.Namespace = &empty, &server.URL, &namespace
	t.Setenv("KUBECONFIG", "/dev/null")
	return flags
}

func liveSample(t *testing.T) *v1alpha1.CanaryRollout {
	t.Helper()
	rollout := sample.Rollout(t)
	rollout.Namespace, rollout.UID = "shop", "1"
	return rollout
}

func TestPlanOfName(t *testing.T) {
	memory := func(phase v1alpha1.Phase, current string) *v1alpha1.Memory {
		return &v1alpha1.Memory{
			Phase: phase, StableRevision: "a", CurrentRevision: current, Template: v1alpha1.TemplateMemory{Hash: "x", Revision: current},
			StableService: v1alpha1.ServiceMemory{Revision: current}, CanaryService: v1alpha1.ServiceMemory{Revision: current},
		}
	}
	tests := map[string]struct {
		name  string
		edit  func(*v1alpha1.CanaryRollout)
		first string
		last  string
	}{
		"new": {name: "reviews", first: "reviews: the first deploy", last: "the new revision is stable"},
		"at rest": {name: "canaryrollout/reviews", first: "reviews: the next release", last: "the former pods go",
			edit: func(r *v1alpha1.CanaryRollout) { r.Status.Memory = memory(v1alpha1.PhaseIdle, "a") }},
		"in flight": {name: "reviews", first: "reviews: the rest of the release of revision b", last: "the former pods go",
			edit: func(r *v1alpha1.CanaryRollout) {
				r.Status.Memory = memory(v1alpha1.PhasePromoting, "b")
				r.Status.Stable = &v1alpha1.RevisionStatus{Revision: "a", Desired: 4, Replicas: 4, Ready: 4, Available: 4}
				r.Status.Canary = &v1alpha1.RevisionStatus{Revision: "b", Desired: 4, Replicas: 4, Ready: 4, Available: 4}
			}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			rollout := liveSample(t)
			if tc.edit != nil {
				tc.edit(rollout)
			}
			got, err := runPlan(t, apiServer(t, rollout), "", tc.name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got, tc.first+"\n") || !strings.Contains(got, "\n       "+tc.last) && !strings.Contains(got, "\n      "+tc.last) {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// TestPlanWarnings checks that warnings of the API server go to the command's streams, as in all other commands.
func TestPlanWarnings(t *testing.T) {
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	command := newPlan(apiServer(t, liveSample(t)), streams)
	command.SetArgs([]string{"reviews"})
	if err := command.ExecuteContext(t.Context()); err != nil || errOut.String() != "Warning: the API is old\n" {
		t.Errorf("got %v and %q", err, errOut)
	}
}

func TestPlanOfNameThatIsNone(t *testing.T) {
	going := liveSample(t)
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	going.Finalizers = []string{v1alpha1.Finalizer}
	for name, want := range map[string]string{
		"ratings": "there is no CanaryRollout ratings in namespace shop; kubectl get canaryrollouts -A lists all",
		"reviews": "CanaryRollout reviews is being deleted: there will be no release",
	} {
		_, err := runPlan(t, apiServer(t, going), "", name)
		if err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
