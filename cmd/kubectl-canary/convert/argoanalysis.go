// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// analysisStep converts an analysis that a release waits for.
func (r *rollout) analysisStep(f field) {
	metrics, takes := r.analysis(f)
	if len(metrics) == 0 {
		r.loseStep(f, "none of its metrics is converted")
		return
	}
	const shortest = 10 * time.Minute
	duration := plan.Duration(max(shortest, (2 * takes).Round(time.Minute)))
	r.step("analysis", mapping("duration", duration, "metrics", sequence(metrics...)))
	f.child("templates").unneeded(fmt.Sprintf("if there is no verdict, the step ends after %s, and waits to be promoted or aborted", duration),
		"set duration and onInconclusive of the step as you need them")
}

func (r *rollout) argoBackground(f field) { r.metrics, _ = r.analysis(f) }

// analysis returns the metrics of an analysis, and how long the slowest takes.
func (r *rollout) analysis(f field) ([]*yaml.Node, time.Duration) {
	call := &analysisCall{field: f, r: r, given: map[string]*givenArgument{}}
	for _, item := range f.child("args").items() { // templates contain them
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
		if g := call.given[argumentName(text(get(item.value, "name")))]; g != nil && !g.isUsed {
			item.unneeded("no metric that was converted contains this argument", "")
		}
	}
	f.limit(len(call.metrics), maxMetrics, "metrics")
	return call.metrics, call.takes
}

// analysisCall is an analysis of a rollout, with arguments for its templates.
type analysisCall struct {
	field
	r *rollout
	// given are the arguments by their names in a CanaryMetric.
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
	var name string
	g := &givenArgument{}
	isKnown := item.child("value").isSet()
	table[*givenArgument]{carried: map[string]func(*givenArgument, field){
		"name":      func(_ *givenArgument, f field) { name = argumentName(text(f.value)) },
		"value":     func(g *givenArgument, f field) { g.value = text(f.value) },
		"valueFrom": func(g *givenArgument, f field) { isKnown = call.readSource(g, f) },
	}}.walk(g, item)
	if !isKnown {
		item.lost("the argument has no value that is known here", "write it into the arguments of metricRef")
		return
	}
	call.given[name] = g
}

// The sources of values that are variables of the operator.
var (
	hashVariables  = map[string]string{"Latest": "{{canaryRevision}}", "Stable": "{{stableRevision}}"}
	fieldVariables = map[string]string{"metadata.name": "{{rollout}}", "metadata.namespace": "{{namespace}}"}
	// metadataField is a field whose value is in the rollout itself.
	metadataField = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)
)

// readSource reads a value from elsewhere. It reports whether it could.
func (call *analysisCall) readSource(g *givenArgument, f field) bool {
	path := text(get(f.value, "fieldRef", "fieldPath"))
	for _, variable := range []string{hashVariables[text(get(f.value, "podTemplateHashValue"))], fieldVariables[path]} {
		if variable != "" {
			g.value, g.isVariable = variable, true
			return true
		}
	}
	if parts := metadataField.FindStringSubmatch(path); parts != nil {
		if value := call.object.at("metadata", parts[1], parts[2]); value.isSet() {
			g.value = text(value.value)
			return true
		}
	}
	return false
}

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

// findTemplate looks up a template that a rollout names.
func (c *converter) findTemplate(namespace, name string, isShared bool) *template {
	for _, t := range c.templates {
		if t.group == groupArgo && t.name == name && t.isShared == isShared && (isShared || isSame(t.namespace, namespace)) {
			return t
		}
	}
	return nil
}

// refer returns a metric that refers to the CanaryMetric of a template, or a copy of it if an argument is a variable.
func (call *analysisCall) refer(t *template, m *metric) *yaml.Node {
	var arguments []*yaml.Node
	values, isCopy := map[string]string{}, false
	for _, a := range t.arguments {
		g := call.given[a.name]
		switch {
		case !m.uses(a.name):
		case g != nil:
			g.isUsed, isCopy, values[a.name] = true, isCopy || g.isVariable, g.value
			arguments = append(arguments, mapping("name", a.name, "value", g.value))
		case a.fallback != nil:
			values[a.name] = text(a.fallback)
		default:
			call.failed(fmt.Sprintf("argument %s of template %s has no value", a.given, t.name), "add it to args")
		}
	}
	name := call.unique(m)
	if isCopy {
		return mapping("name", name, m.kind, mapped(m.source, func(text string) string { return substitute(text, values) }))
	}
	ref := mapping("name", m.objectName)
	if t.isShared {
		set(ref, "scope", "Shared")
	}
	if len(arguments) > 0 {
		set(ref, "arguments", sequence(arguments...))
	}
	return mapping("name", name, "metricRef", ref)
}

// unique returns the name of a metric that no other of the analysis has.
func (call *analysisCall) unique(m *metric) string {
	name := m.name
	for i := 2; slices.ContainsFunc(call.metrics, func(other *yaml.Node) bool { return text(get(other, "name")) == name }); i++ {
		suffix := fmt.Sprintf("-%d", i)
		name = identifier(m.name, maxMetricName-len(suffix)) + suffix
	}
	return name
}
