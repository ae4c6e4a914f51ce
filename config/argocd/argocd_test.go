// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package argocd has what Argo CD needs to know of a CanaryRollout: its health, actions, and what not to compare. Its test
// makes the patches of the ConfigMap argocd-cm from the files here, and runs what stands in them as Argo CD does, on
// statuses that the planner made.
package argocd

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// actions is the value of actionsKey as Argo CD reads it.
type actions struct {
	Discovery   string `json:"discovery.lua"`
	Definitions []struct {
		Name   string `json:"name"`
		Action string `json:"action.lua"`
	} `json:"definitions"`
}

func shippedActions(t *testing.T) (shipped actions) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(data(t, scriptsFile)[actionsKey]), &shipped); err != nil {
		t.Fatal(err)
	}
	return shipped
}

// planned are the scenes that the planner's tests keep: objects as the API server holds them after a pass.
func planned(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("../../controllers/plan/testdata/health/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scene is left: %v", err)
	}
	scenes := map[string]map[string]any{}
	for _, file := range files {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(read(t, file)), &object); err != nil {
			t.Fatal(err)
		}
		scenes[strings.TrimSuffix(filepath.Base(file), ".golden")] = object
	}
	return scenes
}

// newer is a scene right after somebody changed the spec.
func newer(scene map[string]any) map[string]any {
	object := runtime.DeepCopyJSON(scene)
	metadata := object["metadata"].(map[string]any)
	metadata["generation"] = metadata["generation"].(float64) + 1
	return object
}

// TestHealth holds what Argo CD shows of each state.
func TestHealth(t *testing.T) {
	script := data(t, scriptsFile)[healthKey]
	health := map[v1alpha1.State]string{
		v1alpha1.StateInitializing: "Progressing", v1alpha1.StateHealthy: "Healthy", v1alpha1.StateProgressing: "Progressing",
		v1alpha1.StatePaused: "Suspended", v1alpha1.StatePromoting: "Progressing", v1alpha1.StateAborting: "Progressing",
		v1alpha1.StateAborted: "Degraded", v1alpha1.StateDegraded: "Degraded", v1alpha1.StateTerminating: "Progressing",
	}
	seen := map[v1alpha1.State]bool{}
	for name, scene := range planned(t) {
		status := scene["status"].(map[string]any)
		state := v1alpha1.State(status["state"].(string))
		seen[state] = true
		got := run(t, script, scene, nil).(map[string]any)
		if got["status"] != health[state] || !strings.Contains(got["message"].(string), status["message"].(string)) {
			t.Errorf("%s: %v, want %s: %s", name, got, health[state], status["message"])
		}
		if got := run(t, script, newer(scene), nil).(map[string]any); got["status"] != "Progressing" {
			t.Errorf("%s, and a newer spec: %v, want Progressing", name, got)
		}
	}
	for state := range health {
		if !seen[state] {
			t.Errorf("no scene is %s", state)
		}
	}
	fresh := map[string]any{"metadata": map[string]any{"generation": 1.0}, "spec": map[string]any{}}
	if got := run(t, script, fresh, nil).(map[string]any); got["status"] != "Progressing" {
		t.Errorf("without a status: %v, want Progressing", got)
	}
}

// offered are the names of the actions that can be clicked.
func offered(t *testing.T, object map[string]any) []string {
	t.Helper()
	all := run(t, shippedActions(t).Discovery, object, nil).(map[string]any)
	if diff := cmp.Diff(slices.Sorted(slices.Values(actionNames)), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("discovery names other actions (-want +got):\n%s", diff)
	}
	var names []string
	for name, action := range all {
		if action.(map[string]any)["disabled"] == false {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestDiscovery holds that Argo CD offers the commands that the operator would carry out, and no others.
func TestDiscovery(t *testing.T) {
	var accepted map[string][]string
	if err := yaml.Unmarshal([]byte(read(t, "../../controllers/plan/testdata/commands.golden")), &accepted); err != nil {
		t.Fatal(err)
	}
	isSwitch := func(name string) bool { return name == "pause" || name == "resume" }
	isBlind := func(name string) bool { return name == "promote" || name == "promote-full" }
	for name, scene := range planned(t) {
		commands := slices.DeleteFunc(offered(t, scene), isSwitch)
		if !slices.Equal(accepted[name], commands) {
			t.Errorf("%s: offers %v, the operator accepts %v", name, commands, accepted[name])
		}
		if got := offered(t, newer(scene)); slices.ContainsFunc(got, isBlind) {
			t.Errorf("%s: offers %v for a spec that the status is not about", name, got)
		}
	}
	fresh := map[string]any{"metadata": map[string]any{"generation": 1.0}, "spec": map[string]any{}}
	if got := offered(t, fresh); len(got) > 0 {
		t.Errorf("without a status: offers %v", got)
	}
}

// TestSwitches holds that what moves can be paused, and what is paused by the spec resumed.
func TestSwitches(t *testing.T) {
	scenes := planned(t)
	for name, want := range map[string]string{
		"healthy": "", "aborted": "", "aborting": "", "terminating": "", "progressing": "pause", "paused": "pause",
		"promoting": "pause", "held": "resume", "command-at-a-pause-held-by-spec.paused": "resume",
	} {
		var got []string
		for _, action := range offered(t, scenes[name]) {
			if action == "pause" || action == "resume" {
				got = append(got, action)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: offers %v, want %q", name, got, want)
		}
	}
}

// TestActions runs each action wherever it is offered: it changes one annotation or one field, and nothing else.
func TestActions(t *testing.T) {
	ran := map[string]int{}
	for name, scene := range planned(t) {
		for _, definition := range shippedActions(t).Definitions {
			if !slices.Contains(offered(t, scene), definition.Name) {
				continue
			}
			ran[definition.Name]++
			for _, annotations := range []map[string]any{nil, {"team": "books"}} {
				object := runtime.DeepCopyJSON(scene)
				if annotations != nil {
					object["metadata"].(map[string]any)["annotations"] = annotations
				}
				got := run(t, definition.Action, object, object)
				if diff := cmp.Diff(expected(t, definition.Name, object), got); diff != "" {
					t.Errorf("%s of %s (-want +got):\n%s", definition.Name, name, diff)
				}
			}
		}
	}
	for _, name := range actionNames {
		if ran[name] == 0 {
			t.Errorf("%s was never offered", name)
		}
	}
}

// expected is the object after an action.
func expected(t *testing.T, action string, object map[string]any) any {
	t.Helper()
	want := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}
	annotate := func(key, value string) {
		annotations := want.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = value
		want.SetAnnotations(annotations)
	}
	status := object["status"].(map[string]any)
	switch action {
	case "promote":
		step, _, _ := strings.Cut(status["step"].(string), "/")
		annotate(v1alpha1.PromoteAnnotation, fmt.Sprintf("%s/%s", status["revision"], step))
	case "promote-full":
		annotate(v1alpha1.PromoteAnnotation, "full")
	case "abort":
		annotate(v1alpha1.AbortAnnotation, "from Argo CD")
	case "retry":
		annotate(v1alpha1.RetryAnnotation, "true")
	case "pause", "resume":
		want.Object["spec"].(map[string]any)["paused"] = action == "pause"
	default:
		t.Fatalf("nobody says what %s does", action)
	}
	return want.Object
}
