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

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// flaggerAnalysis is what spec.analysis of a Canary becomes.
type flaggerAnalysis struct {
	field
	r                                  *rollout
	interval                           time.Duration
	threshold, iterations              int
	step, most, mirror                 int
	weights                            []int
	matches, metrics                   []*yaml.Node
	gatesStart, gatesWeights, gatesEnd bool
}

func (r *rollout) flaggerAnalysis(f field) {
	if isTrue(get(r.root, "spec", "skipAnalysis")) {
		f.lost("skipAnalysis is true, so the rollout has no steps", "promote without steps as here, or add spec.steps")
		return
	}
	a := &flaggerAnalysis{field: f, r: r, interval: time.Minute, threshold: 1, most: 100}
	a.readNumbers()
	flaggerAnalysisFields.walk(a, f)
	before := len(r.steps)
	a.addSteps()
	if r.exceeds(f, len(r.steps), 64, "steps") || before > 0 {
		return
	}
	if len(r.steps) > 0 {
		set(r.spec, "steps", sequence(r.steps...))
	}
	if len(r.metrics) > 0 {
		set(r.spec, "analysis", mapping("metrics", sequence(r.metrics...)))
	}
}

// readNumbers reads what metrics and steps need.
func (a *flaggerAnalysis) readNumbers() {
	if interval, err := time.ParseDuration(text(get(a.value, "interval"))); err == nil {
		const shortest = 10 * time.Second // of Flagger
		a.interval = max(interval, shortest)
	}
	for name, target := range map[string]*int{
		"threshold": &a.threshold, "iterations": &a.iterations, "stepWeight": &a.step, "maxWeight": &a.most,
	} {
		if value, ok := number(get(a.value, name)); ok && value > 0 {
			*target = value
		}
	}
	for _, weight := range items(get(a.value, "stepWeights")) {
		if value, ok := number(weight); ok {
			a.weights = append(a.weights, min(value, 100))
		}
	}
	if isTrue(get(a.value, "mirror")) {
		a.mirror = 100
		if percent, ok := number(get(a.value, "mirrorWeight")); ok {
			a.mirror = percent
		}
	}
}

var flaggerAnalysisFields = table[*flaggerAnalysis]{
	carried: map[string]func(*flaggerAnalysis, field){
		"interval": (*flaggerAnalysis).checkInterval, "threshold": (*flaggerAnalysis).checkNumber,
		"iterations": (*flaggerAnalysis).checkNumber, "stepWeight": (*flaggerAnalysis).checkWeight, "maxWeight": (*flaggerAnalysis).checkWeight,
		"stepWeights": (*flaggerAnalysis).checkWeight, "mirror": (*flaggerAnalysis).checkMirror, "mirrorWeight": (*flaggerAnalysis).checkMirror,
		"match":    func(a *flaggerAnalysis, f field) { a.matches = routeMatches(f) },
		"metrics":  (*flaggerAnalysis).addMetrics,
		"webhooks": (*flaggerAnalysis).addWebhooks,
	},
	dropped: map[string]verdict{
		"stepWeightPromotion":   lost("after the last step all traffic moves at once, each move verified", "add more weights to the steps"),
		"primaryReadyThreshold": lost("a step waits for all pods that it asks for", "ask for fewer by setCanaryScale"),
		"canaryReadyThreshold":  lost("a step waits for all pods that it asks for", "ask for fewer by setCanaryScale"),
		"sessionAffinity":       lost("clients do not stay with one revision", "use session persistence of the gateway, or a header route"),
		"alerts":                lost("nobody is notified", "use the Events and the alerts that docs/operations.md lists"),
	},
}

func (a *flaggerAnalysis) checkInterval(f field) {
	if _, err := time.ParseDuration(text(f.value)); err != nil {
		f.lost(fmt.Sprintf("%q is not a duration, so it is 1m", text(f.value)), "correct it")
	}
}

func (a *flaggerAnalysis) checkNumber(f field) {
	if value, ok := number(f.value); !ok || value < 1 {
		f.lost("it is not a positive number, so the default applies", "correct it")
		return
	}
	if f.key.Value == "threshold" {
		f.unneeded("each metric may fail threshold-1 times; Flagger counts the failures of all metrics together", "")
	}
}

// checkWeight reports weights that have no effect, because the analysis has iterations or a list of weights.
func (a *flaggerAnalysis) checkWeight(f field) {
	switch {
	case a.iterations > 0 || len(items(get(a.value, "match"))) > 0:
		f.unneeded("an analysis with iterations shifts no weights", "")
	case f.key.Value != "stepWeights" && len(a.weights) > 0:
		f.unneeded("stepWeights replaces it", "")
	case f.key.Value == "stepWeights" && len(a.weights) < len(items(f.value)):
		f.lost("some weights are not numbers", "correct them")
	}
}

func (a *flaggerAnalysis) checkMirror(f field) {
	if a.mirror == 0 || a.iterations == 0 || len(items(get(a.value, "match"))) > 0 {
		f.unneeded("requests are only copied in an analysis with iterations and without match", "add setMirrorRoute to the steps to copy them")
	}
}

// addWebhooks turns gates into pauses. Other webhooks have no counterpart.
func (a *flaggerAnalysis) addWebhooks(f field) {
	for _, hook := range f.items() {
		const pause = "promote or abort the release at the pause that replaces it: kubectl canary promote"
		switch kind := text(get(hook.value, "type")); kind {
		case "confirm-rollout":
			a.gatesStart = true
			hook.lost("a person decides in its place", pause)
		case "pre-rollout", "":
			a.gatesStart = true
			hook.lost("no webhook is called before the traffic", "test the canary at the pause that replaces it, or by a metric of the kind job in an analysis step")
		case "confirm-traffic-increase":
			a.gatesWeights = true
			hook.lost("a person decides in its place", pause)
		case "confirm-promotion":
			a.gatesEnd = true
			hook.lost("a person decides in its place", pause)
		case "rollout":
			hook.lost("no webhook is called at each interval", "run load tests by themselves, and checks as a metric of the kind web or job")
		case "rollback":
			hook.lost("no webhook is asked whether to roll back", "let it run kubectl canary abort, or make it a metric of the kind web")
		default:
			hook.lost("no webhook is called for "+kind, "use the Events that docs/operations.md lists")
		}
	}
}

// addSteps adds the steps of the strategy that the fields imply: requests that match, iterations, or weights.
func (a *flaggerAnalysis) addSteps() {
	if a.gatesStart {
		a.r.step("pause", pauseOf(""))
		a.r.comment("In the place of webhooks: promote or abort here.")
	}
	switch {
	case len(a.matches) > 0 || a.iterations > 0:
		a.r.step("setCanaryScale", mapping("weight", 100))
		if len(a.matches) > 0 {
			a.r.step("setHeaderRoute", mapping("name", "ab-test", "matches", sequence(a.withoutPaths()...)))
		} else if a.mirror > 0 {
			a.r.step("setMirrorRoute", mapping("percent", a.mirror))
		}
		a.hold(time.Duration(max(a.iterations, 1)) * a.interval)
	default:
		a.addWeights()
	}
	if a.gatesEnd {
		a.r.step("pause", pauseOf(""))
		a.r.comment("In the place of a webhook: promote or abort here.")
	}
}

// withoutPaths returns the matches without paths, which the rules of the route have.
func (a *flaggerAnalysis) withoutPaths() (matches []*yaml.Node) {
	for i, match := range a.matches {
		if get(match, "path") != nil {
			a.child("match").lost(fmt.Sprintf("the path of entry %d is left out", i), "the header route has the paths of the rules that it copies")
			remove(match, "path")
		}
		if len(match.Content) > 0 {
			matches = append(matches, match)
		}
	}
	return matches
}

// hold waits for the metrics, or for a time if there are none.
func (a *flaggerAnalysis) hold(duration time.Duration) {
	if len(a.metrics) == 0 {
		a.r.step("pause", pauseOf(plan.Duration(duration)))
		return
	}
	const slack = 10 * time.Minute // for the window, and for answers without data
	a.r.step("analysis", mapping("duration", plan.Duration(2*duration+slack), "metrics", sequence(a.metrics...)))
}

// addWeights adds a step for each weight. The last one waits for a verdict of the metrics: Flagger does not promote without one.
func (a *flaggerAnalysis) addWeights() {
	weights := a.weights
	for weight := a.step; len(a.weights) == 0 && a.step > 0; weight += a.step {
		weights = append(weights, min(weight, 100))
		if weight >= min(a.most, 100) {
			break
		}
	}
	const most = 28 // two steps for each, and the gates, fit into 64
	if len(weights) > most {
		a.lost(fmt.Sprintf("%d weights do not fit into the steps, so some are left out", len(weights)), "look at the steps")
		every := (len(weights) + most - 1) / most
		weights = thinned(weights, every)
	}
	if len(weights) == 0 {
		a.lost("the analysis has neither stepWeight, nor stepWeights, nor iterations", "add steps")
	}
	for i, weight := range weights {
		if a.gatesWeights {
			a.r.step("pause", pauseOf(""))
		}
		a.r.step("setWeight", weight)
		switch {
		case i == len(weights)-1:
			a.hold(a.interval)
		case !a.gatesWeights:
			a.r.step("pause", pauseOf(plan.Duration(a.interval)))
		}
	}
	a.r.metrics = a.metrics
}

// thinned returns every nth weight, and the last.
func thinned(weights []int, every int) (kept []int) {
	for i, weight := range weights {
		if (i+1)%every == 0 || i == len(weights)-1 {
			kept = append(kept, weight)
		}
	}
	return kept
}

// metricTemplate remembers a MetricTemplate: it becomes a CanaryMetric with the range of the first Canary that uses it.
func (c *converter) metricTemplate(o *object) {
	t := &template{object: o}
	c.templates = append(c.templates, t)
	c.drop(o)
}

func (a *flaggerAnalysis) addMetrics(f field) {
	for _, item := range f.items() {
		m := &flaggerMetric{a: a, field: item, name: identifier(text(get(item.value, "name")), 32), source: mapping(), given: map[string]string{}}
		flaggerMetricFields.walk(m, item)
		if metric := m.finish(); metric != nil {
			a.metrics = append(a.metrics, metric)
		}
	}
}

// flaggerMetric is a metric of a Canary.
type flaggerMetric struct {
	field
	a        *flaggerAnalysis
	name     string
	source   *yaml.Node
	template *template
	interval string
	min, max *yaml.Node
	given    map[string]string
	order    []string
	hasQuery bool
}

var flaggerMetricFields = table[*flaggerMetric]{
	carried: map[string]func(*flaggerMetric, field){
		"name": func(m *flaggerMetric, f field) {
			if m.name != text(f.value) {
				f.unneeded("a metric has a name of lower case letters, digits and dashes: it is "+m.name, "")
			}
		},
		"interval": func(m *flaggerMetric, f field) { m.interval = durationOf(f) },
		"thresholdRange": func(m *flaggerMetric, f field) {
			table[*flaggerMetric]{carried: map[string]func(*flaggerMetric, field){
				"min": func(m *flaggerMetric, f field) { m.min = f.value },
				"max": func(m *flaggerMetric, f field) { m.max = f.value },
			}}.walk(m, f)
		},
		"threshold":         func(m *flaggerMetric, f field) { m.max = f.value },
		"templateRef":       (*flaggerMetric).useTemplate,
		"templateVariables": (*flaggerMetric).readVariables,
		"query":             func(m *flaggerMetric, f field) { m.setQuery(f) },
	},
}

func (m *flaggerMetric) readVariables(f field) {
	for _, variable := range f.children() {
		name := identifier(variable.key.Value, 32)
		m.given[name] = text(variable.value)
		m.order = append(m.order, name)
	}
}

func (m *flaggerMetric) useTemplate(f field) {
	name, namespace := text(get(f.value, "name")), cmp.Or(text(get(f.value, "namespace")), m.a.r.namespace)
	table[*flaggerMetric]{carried: map[string]func(*flaggerMetric, field){
		"name": func(*flaggerMetric, field) {}, "namespace": func(*flaggerMetric, field) {},
	}}.walk(m, f)
	for _, t := range m.a.r.c.templates {
		if t.group == groupFlagger && t.name == name && isSame(t.namespace, namespace) {
			m.template = t
			m.readTemplate(t)
			return
		}
	}
	f.lost(fmt.Sprintf("MetricTemplate %s is not in these files, so the metric is left out", name), "convert the files together")
}

// readTemplate takes the query of a MetricTemplate.
func (m *flaggerMetric) readTemplate(t *template) {
	table[*flaggerMetric]{carried: map[string]func(*flaggerMetric, field){
		"query":    func(m *flaggerMetric, f field) { m.setQuery(f) },
		"provider": (*flaggerMetric).readProvider,
	}}.walk(m, t.at("spec"))
}

func (m *flaggerMetric) readProvider(f field) {
	if kind := text(get(f.value, "type")); kind != "prometheus" {
		f.failed(fmt.Sprintf("there is no provider %s", kind), "use PromQL (threshold), a document of a web provider, or a Job")
		m.hasQuery, m.source = false, nil
		return
	}
	table[*flaggerMetric]{
		carried: map[string]func(*flaggerMetric, field){
			"type": func(*flaggerMetric, field) {},
			"address": func(m *flaggerMetric, f field) {
				(&metric{c: m.a.r.c, source: m.source}).useProvider(f, text(f.value))
			},
		},
		dropped: map[string]verdict{
			"secretRef": lostCredentials, "insecureSkipVerify": lostCredentials, "headers": lostCredentials,
			"region": unneeded("Prometheus has no region"),
		},
	}.walk(m, f)
}

// The variables of Flagger in a query, the longer forms first. The pods of the canary are those of its ReplicaSet.
var flaggerVariables = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`\{\{ *target *\}\}-\[0-9a-zA-Z\]\+\(-\[0-9a-zA-Z\]\+\)`), "{{replicaSet}}-.*"},
	{regexp.MustCompile(`\{\{ *target *\}\}-primary-\[0-9a-zA-Z\]\+\(-\[0-9a-zA-Z\]\+\)`), "{{stableReplicaSet}}-.*"},
	{regexp.MustCompile(`\{\{ *service *\}\}-canary`), "{{canaryService}}"},
	{regexp.MustCompile(`\{\{ *service *\}\}-primary`), "{{stableService}}"},
	{regexp.MustCompile(`\{\{ *service *\}\}`), "{{canaryService}}"},
	{regexp.MustCompile(`\{\{ *target *\}\}-primary`), "{{stableReplicaSet}}"},
	{regexp.MustCompile(`\{\{ *target *\}\}`), "{{replicaSet}}"},
	{regexp.MustCompile(`\{\{ *namespace *\}\}`), "{{namespace}}"},
	{regexp.MustCompile(`\{\{ *name *\}\}`), "{{rollout}}"},
	{regexp.MustCompile(`\{\{ *interval *\}\}`), "{{window}}"},
}

var flaggerVariable = regexp.MustCompile(`\{\{ *variables\.([A-Za-z0-9_-]+) *\}\}`)

func (m *flaggerMetric) setQuery(f field) {
	if m.source == nil {
		return
	}
	query := mapped(f.value, func(text string) string {
		for _, v := range flaggerVariables {
			text = v.pattern.ReplaceAllLiteralString(text, v.is)
		}
		return flaggerVariable.ReplaceAllStringFunc(text, func(match string) string {
			return "{{args." + identifier(flaggerVariable.FindStringSubmatch(match)[1], 32) + "}}"
		})
	})
	for _, name := range analysis.Variables(query.Value) {
		if !slices.Contains(analysis.VariableNames, name) && !strings.HasPrefix(name, analysis.VariableArgument) {
			f.failed(fmt.Sprintf("the query contains {{%s}}, which has no counterpart", name), "write the query with the variables that docs/analysis.md lists")
			m.source = nil
			return
		}
	}
	if query.Value != f.value.Value {
		f.unneeded("variables are replaced: the pods of the canary are those of {{replicaSet}}, and its Service is {{canaryService}}", "compare the query with your labels")
	}
	set(m.source, "query", query)
	m.hasQuery = true
}

// The metrics that Flagger knows by name. With the Gateway API they are about a histogram that the application exports.
var builtin = map[string]string{
	"request-success-rate": `100 * sum(rate(http_request_duration_seconds_count{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*",status!~"5.*"}[{{window}}]))
  / sum(rate(http_request_duration_seconds_count{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*"}[{{window}}]))
`,
	"request-duration": `1000 * histogram_quantile(0.99, sum by (le) (rate(
  http_request_duration_seconds_bucket{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*"}[{{window}}])))
`,
}

// finish returns the metric, or nil if it is not converted.
func (m *flaggerMetric) finish() *yaml.Node {
	if query := builtin[text(get(m.value, "name"))]; query != "" && !m.hasQuery && m.template == nil {
		set(m.source, "query", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.LiteralStyle, Value: query})
		m.unneeded("the query of Flagger for this metric is about a histogram that the application exports",
			"use a metric of config/samples/metrics if the gateway or the mesh counts requests")
		m.hasQuery = true
	}
	if !m.hasQuery || m.source == nil || m.min == nil && m.max == nil {
		m.failed(fmt.Sprintf("metric %s is not converted: it needs a query of Prometheus, and a range", m.name), "write it as a metric of the rollout: docs/analysis.md")
		return nil
	}
	set(m.source, "window", cmp.Or(m.interval, "1m"))
	return m.refer()
}

// schedule adds how often the metric is measured, and how many failures are tolerated.
func (m *flaggerMetric) schedule() {
	if m.min != nil {
		set(m.source, "min", stringNode(text(m.min)))
	}
	if m.max != nil {
		set(m.source, "max", stringNode(text(m.max)))
	}
	set(m.source, "interval", plan.Duration(m.a.interval))
	count := v1alpha1.DefaultMetricCount
	if m.a.iterations > 0 {
		count = int32(min(m.a.iterations, 1000))
	}
	set(m.source, "count", max(int(count), m.a.threshold))
	if m.a.threshold > 1 {
		set(m.source, "failureLimit", m.a.threshold-1)
	}
}

// refer returns a reference to the CanaryMetric of the template, or the metric itself if it has another range or namespace.
func (m *flaggerMetric) refer() *yaml.Node {
	m.schedule()
	result := mapping("name", m.name)
	t := m.template
	if t == nil || !isSame(t.namespace, m.a.r.namespace) {
		set(result, "threshold", mapped(m.source, func(text string) string { return substitute(text, m.given) }))
		return result
	}
	if len(t.metrics) == 0 {
		t.metrics = append(t.metrics, &metric{objectName: t.name, kind: "threshold", source: m.source})
		t.declare(m)
		m.a.r.c.replace(t.object, t.canaryMetric(t.metrics[0]))
	}
	if !equal(t.metrics[0].source, m.source) {
		set(result, "threshold", mapped(m.source, func(text string) string { return substitute(text, m.given) }))
		return result
	}
	ref := mapping("name", t.name)
	var arguments []*yaml.Node
	for _, name := range m.order {
		arguments = append(arguments, mapping("name", name, "value", m.given[name]))
	}
	if len(arguments) > 0 {
		set(ref, "arguments", sequence(arguments...))
	}
	set(result, "metricRef", ref)
	return result
}

// declare declares the variables of the query as arguments.
func (t *template) declare(m *flaggerMetric) {
	for _, name := range analysis.Variables(get(m.source, "query").Value) {
		if argument, isArgument := strings.CutPrefix(name, analysis.VariableArgument); isArgument {
			t.arguments = append(t.arguments, argumentOf(argument))
		}
	}
}

func argumentOf(name string) argument { return argument{given: name, name: name} }

// equal reports whether two mappings have the same text.
func equal(a, b *yaml.Node) bool {
	one, errOne := encode(a)
	other, errOther := encode(b)
	return errOne == nil && errOther == nil && string(one) == string(other)
}
