// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// rolloutWith returns a Rollout with the given strategy, in flow style.
func rolloutWith(strategy string) string {
	return `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
  strategy: ` + strategy + "\n"
}

// routed returns a strategy with a route, and the given steps.
func routed(steps string) string {
	return "{canary: {stableService: stable, canaryService: canary, trafficRouting: {plugins: {argoproj-labs/gatewayAPI: {httpRoute: web}}}, steps: " + steps + "}}"
}

// fieldOf returns a field of an object of the result, as JSON.
func fieldOf(t *testing.T, result Result, kind string, path ...string) string {
	t.Helper()
	for _, object := range result.Objects {
		if object.Kind != kind {
			continue
		}
		node := get(object.root, path...)
		if node == nil {
			t.Fatalf("%s has no %s", kind, strings.Join(path, "."))
		}
		content, err := encode(node)
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := sigsyaml.YAMLToJSON(content)
		if err != nil {
			t.Fatal(err)
		}
		return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(asJSON))
	}
	t.Fatalf("there is no %s", kind)
	return ""
}

func TestSteps(t *testing.T) {
	tests := map[string]struct {
		steps, want string
		// report is a part of the report.
		report string
	}{
		"a pause in seconds":     {steps: "[{pause: {duration: 90}}]", want: `[{"pause":{"duration":"90s"}}]`},
		"seconds in quotes":      {steps: `[{pause: {duration: "90"}}]`, want: `[{"pause":{"duration":"90s"}}]`},
		"a long pause":           {steps: "[{pause: {duration: 200000}}]", want: `[{"pause":{"duration":"55h33m20s"}}]`},
		"a short pause":          {steps: `[{pause: {duration: "1.5h"}}]`, want: `[{"pause":{"duration":"1.5h"}}]`},
		"a pause of no length":   {steps: "[{pause: {duration: 0}}, {setWeight: 5}]", want: `[{"setWeight":5}]`, report: "note: a duration of zero"},
		"a pause of a bad unit":  {steps: "[{pause: {duration: 1d}}]", want: `[{"pause":{}}]`, report: `loss: "1d" is not a duration`},
		"a plugin":               {steps: "[{plugin: {name: a}}]", want: `[{"pause":{}}]`, report: "spec.strategy.canary.steps[0].plugin: loss: there are no plugins"},
		"an unknown step":        {steps: "[{setWheight: 5}, {setWeight: 5}]", want: `[{"setWeight":5}]`, report: "steps[0].setWheight: loss: this field is unknown"},
		"a weight of no number":  {steps: "[{setWeight: many}]", want: `[{"setWeight":0}]`, report: "steps[0].setWeight: loss: it is not a number"},
		"several keys in a step": {steps: "[{setWeight: 5, pause: {}}]", want: `[{"setWeight":5},{"pause":{}}]`},
		"a header route that is not there": {
			steps: "[{setHeaderRoute: {name: a}}, {pause: {}}]", want: `[{"pause":{}}]`, report: "note: no earlier step creates this header route",
		},
		"all headers must match": {
			steps: "[{setHeaderRoute: {name: a, match: [{headerName: a, headerValue: {exact: b}}, {headerName: c, headerValue: {prefix: d.e}}]}}]",
			want: `[{"setHeaderRoute":{"matches":[{"headers":[{"name":"a","type":"Exact","value":"b"},` +
				`{"name":"c","type":"RegularExpression","value":"d\\.e.*"}]}],"name":"a"}}]`,
		},
		"a mirror that the plugin ignores": {
			steps: "[{setMirrorRoute: {name: a, percentage: 5, match: [{path: {prefix: /}}]}}]", want: `[{"setMirrorRoute":{"percent":5}}]`,
			report: "the Gateway API plugin does nothing for this step",
		},
		"an analysis without its template": {
			steps: "[{analysis: {templates: [{templateName: a}]}}]", want: `[{"pause":{}}]`, report: "loss: template a is not in these files",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, []byte(rolloutWith(routed(tc.steps))))
			if diff := cmp.Diff(tc.want, fieldOf(t, result, "CanaryRollout", "spec", "steps")); diff != "" {
				t.Errorf("steps differ (-want +got):\n%s", diff)
			}
			if !strings.Contains(report, tc.report) {
				t.Errorf("the report does not contain %q:\n%s", tc.report, report)
			}
		})
	}
}

func TestBlueGreenSteps(t *testing.T) {
	tests := map[string]struct{ fields, want string }{
		"promoted at once":     {"", `[{"setCanaryScale":{"weight":100}},{"setWeight":100}]`},
		"promoted by a person": {", autoPromotionEnabled: false", `[{"setCanaryScale":{"weight":100}},{"pause":{}},{"setWeight":100}]`},
		"promoted after a time": {
			", autoPromotionSeconds: 30", `[{"setCanaryScale":{"weight":100}},{"pause":{"duration":"30s"}},{"setWeight":100}]`,
		},
		"a small preview": {", previewReplicaCount: 1", `[{"setCanaryScale":{"replicas":1}},{"setWeight":100}]`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, _ := converted(t, []byte(rolloutWith("{blueGreen: {activeService: a, previewService: b"+tc.fields+"}}")))
			if diff := cmp.Diff(tc.want, fieldOf(t, result, "CanaryRollout", "spec", "steps")); diff != "" {
				t.Errorf("steps differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMisplacedPlugins reads plugins directly below canary, where published examples have them.
func TestMisplacedPlugins(t *testing.T) {
	result, _, report := converted(t, []byte(rolloutWith("{canary: {plugins: {argoproj-labs/gatewayAPI: {httpRoutes: [{name: web}]}}}}")))
	const want = `[{"kind":"HTTPRoute","name":"web"}]`
	if got := fieldOf(t, result, "CanaryRollout", "spec", "traffic", "routes"); got != want || ExitCode(result.Report) != 0 {
		t.Errorf("got %s, want %s, report:\n%s", got, want, report)
	}
}

// TestNotConverted has objects that end with exit code 2. The report says why.
func TestNotConverted(t *testing.T) {
	const canary = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: web}\nspec: "
	tests := map[string]struct{ content, want string }{
		"no YAML":          {"a: [", "in.yaml:1: error: this is no YAML"},
		"a field twice":    {"a: 1\na: 2", `in.yaml:1: error: this is no YAML`},
		"an endless alias": {"a: &a [*a]", "in.yaml:1: error: this is no YAML"},
		"a list":           {"[a]", "in.yaml:1: error: this is not a Kubernetes object"},
		"no strategy":      {rolloutWith("{}"), "spec.strategy: error: it must have either canary or blueGreen"},
		"two strategies":   {rolloutWith("{canary: {}, blueGreen: {activeService: a}}"), "spec.strategy: error: it must have either canary or blueGreen"},
		"no template":      {strings.Replace(rolloutWith("{canary: {}}"), "template:", "templates:", 1), "spec.template: error: there is no pod template"},
		"no labels":        {strings.Replace(rolloutWith("{canary: {}}"), "{matchLabels: {app: web}}", "{}", 1), "spec.selector: error: the selector has no matchLabels"},
		"a long name":      {strings.Replace(rolloutWith("{canary: {}}"), "name: web}", "name: "+strings.Repeat("a", 47)+"}", 1), "metadata.name: error: the name is longer than 46 characters"},
		"too many steps":   {rolloutWith(routed("[" + strings.Repeat("{pause: {}},", 65) + "]")), "spec.strategy: error: it needs 65 steps, and there can be 64"},
		"a workload elsewhere": {"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec: {workloadRef: {kind: Deployment, name: web}}",
			"spec.workloadRef: error: the pod template is in Deployment web, which is not in these files"},
		"a Deployment elsewhere": {canary + "{targetRef: {kind: Deployment, name: web}}", "spec.targetRef: error: the pod template is in Deployment web"},
		"a DaemonSet":            {canary + "{targetRef: {kind: DaemonSet, name: web}}", "spec.targetRef: error: the pod template is in DaemonSet web"},
		"the same twice":         {rolloutWith(routed("[]")) + "---\n" + rolloutWith(routed("[]")), "metadata.name: error: CanaryRollout web would be there twice"},
		"a template that no Canary uses": {"apiVersion: flagger.app/v1beta1\nkind: MetricTemplate\nmetadata: {name: a}\nspec: {query: up}",
			"in.yaml:1: error: no Canary in these files uses it"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, []byte(tc.content))
			if code := ExitCode(result.Report); code != 2 || !strings.Contains(report, tc.want) {
				t.Errorf("exit code %d, and the report does not contain %q:\n%s", code, tc.want, report)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	for want, severities := range map[int][]Severity{0: {Note}, 1: {Note, Loss, Note}, 2: {Loss, Error, Note}} {
		var entries []Entry
		for _, severity := range severities {
			entries = append(entries, Entry{Severity: severity})
		}
		if got := ExitCode(entries); got != want {
			t.Errorf("%v: got %d, want %d", severities, got, want)
		}
	}
	if got := ExitCode(nil); got != 0 {
		t.Errorf("got %d for an empty report", got)
	}
}

// TestAnchors checks that parts that are written once, and used in several places, are complete in each of them.
func TestAnchors(t *testing.T) {
	content := `labels: &labels {app: web}
defaults: &defaults {image: "web:1", name: other}
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  selector: {matchLabels: *labels}
  template:
    metadata: {labels: *labels}
    spec:
      containers:
      - name: web
        <<: *defaults
  strategy: ` + routed("[]")
	result, objects, report := converted(t, []byte(content))
	const want = `{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"image":"web:1","name":"web"}]}}`
	if got := fieldOf(t, result, "CanaryRollout", "spec", "template"); got != want || strings.ContainsAny(objects, "&*") {
		t.Errorf("got %s, in:\n%s", got, objects)
	}
	if !strings.Contains(report, "in.yaml:1: labels: loss: this field is unknown") {
		t.Errorf("the report is\n%s", report)
	}
}

// TestTemplateIsCopied checks that the text of a pod template stays as it is: with comments, order, styles and quotes.
func TestTemplateIsCopied(t *testing.T) {
	for name, content := range cases(t) {
		given := templateOf(objectsOf(t, content), "Rollout", "Deployment")
		_, objects, _ := converted(t, content)
		got := templateOf(objectsOf(t, []byte(objects)), "CanaryRollout")
		if given == nil || got == nil || !isEqual(given, got) {
			t.Errorf("%s: the template differs:\n%s", name, objects)
		}
	}
}

// templateOf returns the pod template of the first object of these kinds that has one.
func templateOf(objects []*yaml.Node, kinds ...string) *yaml.Node {
	for _, object := range objects {
		if template := get(object, "spec", "template"); template != nil && slices.Contains(kinds, text(get(object, "kind"))) {
			return template
		}
	}
	return nil
}

// TestDocumentedExamples converts the first example of each page. The second one says what it becomes.
func TestDocumentedExamples(t *testing.T) {
	for _, page := range []string{"coming-from-argo-rollouts.md", "coming-from-flagger.md"} {
		t.Run(page, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join("../../../docs", page))
			if err != nil {
				t.Fatal(err)
			}
			blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(content), 2)
			if len(blocks) < 2 {
				t.Fatal("the page has lost its examples")
			}
			result, got, report := converted(t, []byte(blocks[0][1]))
			if ExitCode(result.Report) == 2 {
				t.Errorf("the report has errors:\n%s", report)
			}
			if diff := cmp.Diff(valuesOf(t, blocks[1][1]), valuesOf(t, got)); diff != "" {
				t.Errorf("the example differs (-documented +converted):\n%s", diff)
			}
		})
	}
}

func valuesOf(t *testing.T, content string) (values []any) {
	t.Helper()
	for document := range strings.SplitSeq(content, "---\n") {
		var value any
		if err := sigsyaml.Unmarshal([]byte(document), &value); err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	return values
}

func TestEntry(t *testing.T) {
	entry := Entry{Severity: Loss, File: "a.yaml", Document: 2, Object: "Rollout web", Path: "spec.a", Message: "it is\nlost", Instead: "do that"}
	if got := entry.String(); got != "a.yaml:2: spec.a: loss: it is lost; do that" {
		t.Errorf("got %q", got)
	}
	content, err := json.Marshal(entry)
	const want = `{"severity":"Loss","file":"a.yaml","document":2,"object":"Rollout web","path":"spec.a","message":"it is\nlost","instead":"do that"}`
	if err != nil || string(content) != want {
		t.Errorf("got %s, error %v", content, err)
	}
}

func TestFileName(t *testing.T) {
	for want, object := range map[string]Object{
		"canaryrollout-web.yaml":      {Kind: "CanaryRollout", Name: "web"},
		"shop_canaryrollout-web.yaml": {Kind: "CanaryRollout", Namespace: "shop", Name: "web"},
		"service-..-..-etc.yaml":      {Kind: "Service", Name: "../../etc"},
	} {
		if got := object.FileName(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestGateway checks that proposals name the Gateway that the user has named.
func TestGateway(t *testing.T) {
	result := Convert([]lint.Source{{Name: "in.yaml", Content: []byte(rolloutWith("{canary: {}}"))}}, Options{Gateway: "infra/public"})
	const want = `[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"public","namespace":"infra"}]`
	if got := fieldOf(t, result, "HTTPRoute", "spec", "parentRefs"); got != want {
		t.Errorf("got %s", got)
	}
}
