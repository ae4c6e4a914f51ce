// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/itchyny/gojq"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/yaml"
)

// ignored is what is not compared, in the form of the ConfigMap and of an Application.
type ignored struct {
	Kind              string   `json:"kind"`
	JSONPointers      []string `json:"jsonPointers"`
	JQPathExpressions []string `json:"jqPathExpressions"`
}

// drop takes what is ignored out of an object, as Argo CD does with both sides before it compares them.
func (i ignored) drop(t *testing.T, object map[string]any) map[string]any {
	t.Helper()
	for _, expression := range i.JQPathExpressions {
		query, err := gojq.Parse("del(" + expression + ")")
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		result, _ := query.Run(object).Next()
		if err, failed := result.(error); failed {
			t.Fatalf("%s: %v", expression, err)
		}
		object = result.(map[string]any)
	}
	for _, pointer := range i.JSONPointers {
		object = remove(t, object, pointer)
	}
	return object
}

// remove is not bothered when there is nothing.
func remove(t *testing.T, object map[string]any, pointer string) map[string]any {
	t.Helper()
	patch, err := jsonpatch.DecodePatch([]byte(`[{"op":"remove","path":"` + pointer + `"}]`))
	if err != nil {
		t.Fatal(err)
	}
	content, err := yaml.Marshal(object)
	if err == nil {
		content, err = yaml.YAMLToJSON(content)
	}
	if err != nil {
		t.Fatal(err)
	}
	if patched, err := patch.Apply(content); err == nil {
		content = patched
	}
	return parse(t, string(content))
}

func parse(t *testing.T, text string) (object map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	return object
}

const (
	gitRoute = `
spec:
  rules:
  - matches: [{path: {value: /reviews}}]
    backendRefs: [{name: reviews-canary, port: 9080, weight: 0}, {name: reviews-stable, port: 9080, weight: 100}]
  - backendRefs: [{name: ratings, port: 9080, weight: 7}]
  - filters: [{type: RequestRedirect}]
`
	liveRoute = `
spec:
  rules:
  - name: canaryrollout-reviews-qa-0
    matches: [{path: {value: /reviews}, headers: [{name: role, value: qa}]}]
    backendRefs: [{name: reviews-canary, port: 9080, weight: 1}]
  - matches: [{path: {value: /reviews}}]
    backendRefs: [{name: reviews-canary, port: 9080, weight: 40}, {name: reviews-stable, port: 9080, weight: 60}]
  - backendRefs: [{name: ratings, port: 9080, weight: 7}]
  - filters: [{type: RequestRedirect}]
`
	gitService  = `{"spec": {"selector": {"app": "reviews"}, "ports": [{"port": 9080}]}}`
	liveService = `{"spec": {"selector": {"app": "reviews", "pod-template-hash": "594c75879c"}, "ports": [{"port": 9080}]}}`
)

// TestIgnored holds that a release is no drift, and an edit of what is the user's is one: for all Applications, and in
// the form for one of them that the documentation gives. The plugin of Argo Rollouts marks a route by a label instead: Argo CD 3
// shows that as drift for ever (plugin#208), and takes header rules out where it is missing (plugin#190). Whole lists
// that are ignored keep the user's edits out (argo-cd#25284).
func TestIgnored(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "health.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml fragment\nspec:\n  ignoreDifferences:\n")
	snippet, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/health.md has no ignoreDifferences")
	}
	var perApplication []ignored
	if err := yaml.Unmarshal([]byte(snippet), &perApplication); err != nil || len(perApplication) != 2 {
		t.Fatalf("%v: %v", perApplication, err)
	}
	var forAll [2]ignored
	for i, key := range []string{httpRouteKey, serviceKey} {
		if err := yaml.UnmarshalStrict([]byte(data(t, ignoreFile)[key]), &forAll[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, rules := range [][]ignored{forAll[:], perApplication} {
		checkIgnored(t, rules[0], gitRoute, liveRoute, "/reviews}", "/other}")
		checkIgnored(t, rules[0], gitRoute, liveRoute, "weight: 7", "weight: 8")
		checkIgnored(t, rules[1], gitService, liveService, `"app": "reviews"`, `"app": "other"`)
	}
}

func checkIgnored(t *testing.T, rules ignored, git, live, own, edited string) {
	t.Helper()
	if diff := cmp.Diff(rules.drop(t, parse(t, git)), rules.drop(t, parse(t, live))); diff != "" {
		t.Errorf("a release is drift (-git +live):\n%s", diff)
	}
	other := strings.ReplaceAll(live, own, edited)
	if cmp.Equal(rules.drop(t, parse(t, git)), rules.drop(t, parse(t, other))) {
		t.Errorf("nobody would see that %s became %s", own, edited)
	}
}
