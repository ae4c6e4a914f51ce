// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// sharedNamespace is the namespace of the operator, unless it was installed in another one.
const sharedNamespace = "canaryrollout-system"

// The longest names of the API.
const (
	maxMetricName   = 32
	maxArgumentName = 32
	maxProviderName = 63
)

// template is an AnalysisTemplate, a ClusterAnalysisTemplate or a MetricTemplate.
type template struct {
	*object
	// isShared says that rollouts of all namespaces may refer to it.
	isShared  bool
	arguments []argument
	metrics   []*metric
	// includes are the templates that it consists of.
	includes []field
	// isUsed says that a rollout refers to it.
	isUsed bool
}

// argument is declared by a template.
type argument struct {
	field
	// given is its name in the template, and name that in a CanaryMetric.
	given, name string
	// fallback is its default; nil if a rollout must give a value.
	fallback *yaml.Node
}

// analysisTemplate turns each metric of a template into a CanaryMetric.
func (c *converter) analysisTemplate(o *object) {
	t := &template{object: o, isShared: o.kind == "ClusterAnalysisTemplate"}
	c.templates = append(c.templates, t)
	c.drop(o)
	t.readArguments(o.at("spec", "args")) // metrics contain them
	table[*template]{
		carried: map[string]func(*template, field){
			"args": func(*template, field) {},
			"metrics": func(t *template, f field) {
				for _, item := range f.items() {
					t.addMetric(c, item)
				}
			},
			"templates": (*template).include,
		},
		dropped: map[string]verdict{"dryRun": lostDryRun, "measurementRetention": unneededRetention},
	}.walk(t, o.at("spec"))
	for _, m := range t.metrics {
		c.replace(o, t.canaryMetric(m))
	}
	for _, a := range t.arguments {
		if !slices.ContainsFunc(t.metrics, func(m *metric) bool { return m.uses(a.name) }) {
			a.unneeded("no metric that was converted contains this argument", "")
		}
	}
}

var (
	lostDryRun        = lost("every metric of an analysis decides", "remove the metric from the rollout until it may decide")
	unneededRetention = unneeded("a bounded result of the analysis is in the status of the rollout")
)

func (t *template) include(f field) {
	t.includes = f.items()
	f.unneeded("a CanaryMetric is one metric: rollouts that use this template refer to the metrics of those templates as well", "")
}

func (t *template) readArguments(f field) {
	for _, item := range f.items() {
		if item.child("valueFrom").isSet() {
			item.lost("values are not read from Secrets or other objects", "give credentials to the provider, in the file of --metric-providers")
			continue
		}
		a := argument{field: item}
		table[*argument]{carried: map[string]func(*argument, field){
			"name":  func(a *argument, f field) { a.given = text(f.value) },
			"value": func(a *argument, f field) { a.fallback = f.value },
		}}.walk(&a, item)
		if a.name = argumentName(a.given); a.name != a.given {
			item.unneeded("an argument has a name of lower case letters, digits and dashes: it is "+a.name, "")
		}
		t.arguments = append(t.arguments, a)
	}
}

// canaryMetric returns a metric as an object.
func (t *template) canaryMetric(m *metric) *yaml.Node {
	spec := mapping()
	var arguments []*yaml.Node
	for _, a := range t.arguments {
		if m.uses(a.name) {
			arguments = append(arguments, mapping("name", a.name, "default", asString(a.fallback)))
		}
	}
	if len(arguments) > 0 {
		set(spec, "arguments", sequence(arguments...))
	}
	set(spec, m.kind, m.source)
	root := rebuild(t.object, "CanaryMetric", spec)
	set(get(root, "metadata"), "name", m.objectName)
	if t.isShared {
		namespace := scalar(sharedNamespace)
		namespace.LineComment = "# the namespace of the operator"
		set(get(root, "metadata"), "namespace", namespace)
		t.note("metadata.name", "a CanaryMetric for all namespaces is in the namespace of the operator, "+sharedNamespace,
			"change the namespace if the operator runs in another one")
	}
	return root
}

// asString returns a scalar as a string; nil stays nil.
func asString(node *yaml.Node) *yaml.Node {
	if node == nil {
		return nil
	}
	return scalar(text(node))
}

// reportUnused reports the MetricTemplates that no Canary uses: only a Canary has the range of good results.
func (c *converter) reportUnused() {
	for _, t := range c.templates {
		if t.group == groupFlagger && !t.isUsed {
			t.fail("", "no Canary in these files uses it, and only a Canary says which results are good", "convert them together")
		}
	}
}

var (
	capital       = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notIdentifier = regexp.MustCompile(`[^a-z0-9]+`)
)

// identifier turns a name into one of lower case letters, digits and dashes that begins with a letter.
func identifier(name string, longest int) string {
	name = strings.ToLower(capital.ReplaceAllString(name, "$1-$2"))
	name = strings.Trim(notIdentifier.ReplaceAllString(name, "-"), "-")
	if name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("m-"+name, "-")
	}
	if len(name) > longest {
		name = strings.TrimRight(name[:longest], "-")
	}
	return name
}

func argumentName(given string) string { return identifier(given, maxArgumentName) }

// argumentVariable is an argument in a text, as Argo Rollouts and the operator write it.
var argumentVariable = regexp.MustCompile(`\{\{\s*args\.([^{}\s]+)\s*\}\}`)

// renamed returns a text with the names that arguments have here.
func renamed(text string) string {
	return argumentVariable.ReplaceAllStringFunc(text, func(match string) string {
		return variable(argumentName(argumentVariable.FindStringSubmatch(match)[1]))
	})
}

// variable returns an argument as it is written in a text.
func variable(argument string) string {
	return fmt.Sprintf("{{%s%s}}", analysis.VariableArgument, argument)
}

// substitute replaces arguments by their values.
func substitute(text string, values map[string]string) string {
	return argumentVariable.ReplaceAllStringFunc(text, func(match string) string {
		if value, isKnown := values[argumentVariable.FindStringSubmatch(match)[1]]; isKnown {
			return value
		}
		return match
	})
}
