// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// sharedNamespace is the namespace of the operator, unless it was installed in another one.
const sharedNamespace = "canaryrollout-system"

// template is an AnalysisTemplate, a ClusterAnalysisTemplate or a MetricTemplate.
type template struct {
	*object
	// isShared says that rollouts of all namespaces may refer to it.
	isShared  bool
	arguments []argument
	metrics   []*metric
	// includes are the templates that it consists of.
	includes []field
}

// argument is declared by a template.
type argument struct {
	field
	// given is its name in the template, and name that in a CanaryMetric.
	given, name string
	// value is its default; nil if a rollout must give one.
	value *yaml.Node
}

// analysisTemplate turns each metric of a template into a CanaryMetric.
func (c *converter) analysisTemplate(o *object) {
	t := &template{object: o, isShared: o.kind == "ClusterAnalysisTemplate"}
	c.templates = append(c.templates, t)
	c.drop(o)
	t.readArguments(o.at("spec", "args"))
	table[*template]{
		carried: map[string]func(*template, field){
			"args": func(*template, field) {},
			"metrics": func(t *template, f field) {
				for _, item := range f.items() {
					t.addMetric(c, item)
				}
			},
			"templates": func(t *template, f field) { t.includes = f.items() },
		},
		dropped: map[string]verdict{"dryRun": lostDryRun, "measurementRetention": unneededRetention},
	}.walk(t, o.at("spec"))
	for _, m := range t.metrics {
		c.replace(o, t.canaryMetric(m))
	}
	for _, a := range t.arguments {
		if !slices.ContainsFunc(t.metrics, func(m *metric) bool { return m.uses(a) }) {
			a.unneeded("no metric that was converted contains this argument", "")
		}
	}
}

var (
	lostDryRun        = lost("every metric of an analysis decides", "remove the metric from the rollout until it may decide")
	unneededRetention = unneeded("a bounded result of the analysis is in the status of the rollout")
)

func (t *template) readArguments(f field) {
	for _, item := range f.items() {
		if get(item.value, "valueFrom") != nil {
			item.lost("values are not read from Secrets or other objects", "give credentials to the provider, in the file of --metric-providers")
			continue
		}
		a := argument{field: item}
		table[*argument]{carried: map[string]func(*argument, field){
			"name":  func(a *argument, f field) { a.given = text(f.value) },
			"value": func(a *argument, f field) { a.value = f.value },
		}}.walk(&a, item)
		if a.name = identifier(a.given, 32); a.name != a.given {
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
		if m.uses(a) {
			arguments = append(arguments, mapping("name", a.name, "default", quoted(a.value)))
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
	}
	return root
}

// quoted returns the value of an argument, which is a string; nil stays nil.
func quoted(node *yaml.Node) *yaml.Node {
	if node == nil {
		return nil
	}
	return scalar(text(node))
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

// findTemplate looks up a template that a rollout names.
func (c *converter) findTemplate(namespace, name string, isShared bool) *template {
	for _, t := range c.templates {
		if t.group == groupArgo && t.name == name && t.isShared == isShared && (isShared || isSame(t.namespace, namespace)) {
			return t
		}
	}
	return nil
}

// analysisStep converts an analysis that a release waits for.
func (r *rollout) analysisStep(f field) {
	metrics, takes := r.analysis(f)
	if len(metrics) == 0 {
		r.gate(f, "none of its metrics is converted")
		return
	}
	const shortest = 10 * time.Minute
	duration := plan.Duration(max(shortest, (2 * takes).Round(time.Minute)))
	r.step("analysis", mapping("duration", duration, "metrics", sequence(metrics...)))
	f.unneeded(fmt.Sprintf("if there is no verdict, the step ends after %s, and waits to be promoted or aborted", duration),
		"set duration and onInconclusive of the step as you need them")
}

func (r *rollout) argoBackground(f field) {
	r.metrics, _ = r.analysis(f)
}

// analysis returns the metrics of an analysis, and how long the slowest takes.
func (r *rollout) analysis(f field) ([]*yaml.Node, time.Duration) {
	call := &analysisCall{r: r, field: f, given: map[string]*givenArgument{}}
	for _, item := range f.child("args").items() {
		call.readArgument(item)
	}
	table[*analysisCall]{
		carried: map[string]func(*analysisCall, field){
			"args": func(*analysisCall, field) {},
			"templates": func(call *analysisCall, f field) {
				for _, item := range f.items() {
					call.include(item)
				}
			},
		},
		dropped: map[string]verdict{
			"dryRun": lostDryRun, "measurementRetention": unneededRetention,
			"analysisRunMetadata": unneeded("runs of an analysis are no objects here"),
			"startingStep":        lost("metrics are measured from the first weight above 0", "use an analysis step to begin later"),
		},
	}.walk(call, f)
	for _, item := range f.child("args").items() {
		if g := call.given[text(get(item.value, "name"))]; g != nil && !g.isUsed {
			item.unneeded("no metric that was converted contains this argument", "")
		}
	}
	return call.metrics, call.takes
}

// analysisCall is an analysis of a rollout, with arguments for its templates.
type analysisCall struct {
	field
	r       *rollout
	given   map[string]*givenArgument
	seen    []*template
	metrics []*yaml.Node
	takes   time.Duration
}

// givenArgument is the value of an argument.
type givenArgument struct {
	value string
	// isVariable says that the value is a variable of the operator. Arguments cannot be variables, so the metric is copied.
	isVariable, isUsed bool
}

func (call *analysisCall) readArgument(item field) {
	g := &givenArgument{}
	var name string
	table[*givenArgument]{carried: map[string]func(*givenArgument, field){
		"name":      func(_ *givenArgument, f field) { name = text(f.value) },
		"value":     func(g *givenArgument, f field) { g.value = text(f.value) },
		"valueFrom": func(g *givenArgument, f field) { call.readSource(g, f) },
	}}.walk(g, item)
	if g.value != "" || get(item.value, "value") != nil {
		call.given[name] = g
	}
}

// readSource reads the value of an argument from elsewhere.
func (call *analysisCall) readSource(g *givenArgument, f field) {
	hashes := map[string]string{"Latest": "{{canaryRevision}}", "Stable": "{{stableRevision}}"}
	if hash := f.child("podTemplateHashValue"); hash.value != nil {
		if g.value = hashes[text(hash.value)]; g.value == "" {
			hash.lost("it is neither Latest nor Stable", "correct it")
		}
		g.isVariable = true
		return
	}
	path := f.child("fieldRef").child("fieldPath")
	variables := map[string]string{"metadata.name": "{{rollout}}", "metadata.namespace": "{{namespace}}"}
	if g.value = variables[text(path.value)]; g.value != "" {
		g.isVariable = true
		return
	}
	if label := labelPath.FindStringSubmatch(text(path.value)); label != nil {
		if g.value = text(get(call.object.root, "metadata", label[1], label[2])); g.value != "" {
			return
		}
	}
	f.lost("the value is not read from there", "write the value into the arguments of metricRef")
}

var labelPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// include adds the metrics of a template, and of those that it includes.
func (call *analysisCall) include(item field) {
	var name string
	var isShared bool
	table[*analysisCall]{carried: map[string]func(*analysisCall, field){
		"templateName": func(_ *analysisCall, f field) { name = text(f.value) },
		"clusterScope": func(_ *analysisCall, f field) { isShared = isTrue(f.value) },
	}}.walk(call, item)
	t := call.r.c.findTemplate(call.object.namespace, name, isShared)
	switch {
	case t == nil:
		item.lost(fmt.Sprintf("template %s is not in these files, so its metrics are left out", name), "convert the files together")
		return
	case slices.Contains(call.seen, t):
		return
	}
	call.seen = append(call.seen, t)
	for _, m := range t.metrics {
		call.takes = max(call.takes, m.takes())
		call.metrics = append(call.metrics, call.refer(t, m))
	}
	for _, included := range t.includes {
		call.include(included)
	}
}

// refer returns a metric that refers to the CanaryMetric of a template, or a copy of it if an argument is a variable.
func (call *analysisCall) refer(t *template, m *metric) *yaml.Node {
	result := mapping("name", call.unique(m))
	var arguments []*yaml.Node
	values, isCopy := map[string]string{}, false
	for _, a := range t.arguments {
		g := call.given[a.given]
		switch {
		case !m.uses(a):
		case g != nil:
			g.isUsed, isCopy = true, isCopy || g.isVariable
			values[a.name] = g.value
			arguments = append(arguments, mapping("name", a.name, "value", g.value))
		case a.value != nil:
			values[a.name] = text(a.value)
		default:
			call.failed(fmt.Sprintf("argument %s of template %s has no value", a.given, t.name), "add it to args")
		}
	}
	if isCopy {
		set(result, m.kind, mapped(m.source, func(text string) string { return substitute(text, values) }))
		return result
	}
	ref := mapping("name", m.objectName)
	if t.isShared {
		set(ref, "scope", "Shared")
	}
	if len(arguments) > 0 {
		set(ref, "arguments", sequence(arguments...))
	}
	set(result, "metricRef", ref)
	return result
}

// unique returns the name of a metric that no other in the list has.
func (call *analysisCall) unique(m *metric) string {
	name := m.name
	for i := 2; slices.ContainsFunc(call.metrics, func(other *yaml.Node) bool { return text(get(other, "name")) == name }); i++ {
		name = fmt.Sprintf("%s-%d", identifier(cmp.Or(m.objectName, m.name), 28), i)
	}
	return name
}
