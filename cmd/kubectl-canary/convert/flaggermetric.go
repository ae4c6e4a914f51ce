// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// metricTemplate remembers a MetricTemplate. It becomes a CanaryMetric with the range of the first Canary that uses it.
func (c *converter) metricTemplate(o *object) {
	c.templates = append(c.templates, &template{object: o})
	c.drop(o)
}

func (a *flaggerAnalysis) addMetrics(f field) {
	for _, item := range f.items() {
		m := &flaggerMetric{
			field: item, a: a, name: identifier(text(get(item.value, "name")), maxMetricName), source: mapping(), bounds: mapping(),
			window: "1m", values: map[string]string{},
		}
		flaggerMetricFields.walk(m, item)
		m.useBuiltin()
		m.readVariables()
		if get(m.source, "query") == nil || len(m.bounds.Content) == 0 || m.isBroken {
			item.failed(fmt.Sprintf("metric %s is not converted: it needs a query of Prometheus, and a range", m.name),
				"write it as a metric of the rollout: docs/analysis.md")
			continue
		}
		m.addSchedule()
		a.metrics = append(a.metrics, m.refer())
	}
	f.limit(len(a.metrics), maxMetrics, "metrics")
}

// flaggerMetric is a metric of a Canary.
type flaggerMetric struct {
	field
	a *flaggerAnalysis
	// name is that of the metric in the rollout.
	name string
	// source is the threshold that it becomes, and bounds its min and max.
	source, bounds *yaml.Node
	template       *template
	window         string
	// arguments are the variables that the Canary sets, in their order, and values their values by name.
	arguments []*yaml.Node
	values    map[string]string
	// isBroken says that the metric cannot be converted.
	isBroken bool
}

var flaggerMetricFields = table[*flaggerMetric]{
	carried: map[string]func(*flaggerMetric, field){
		"name":              func(m *flaggerMetric, f field) { checkMetricName(f, m.name) },
		"interval":          func(m *flaggerMetric, f field) { m.window = cmp.Or(durationOf(f), m.window) },
		"thresholdRange":    func(m *flaggerMetric, f field) { flaggerRange.walk(m, f) },
		"threshold":         (*flaggerMetric).setThreshold,
		"templateRef":       (*flaggerMetric).useTemplate,
		"templateVariables": func(*flaggerMetric, field) {}, // see readVariables
		"query":             (*flaggerMetric).setQuery,
	},
}

var flaggerRange = table[*flaggerMetric]{carried: map[string]func(*flaggerMetric, field){
	"min": func(m *flaggerMetric, f field) { m.setBound("min", f) },
	"max": func(m *flaggerMetric, f field) { m.setBound("max", f) },
}}

// setThreshold sets the limit of older objects. It applies only without a range.
func (m *flaggerMetric) setThreshold(f field) {
	switch {
	case m.child("thresholdRange").isSet():
		f.unneeded("thresholdRange replaces it", "")
	case text(get(m.value, "name")) == successRate:
		m.setBound("min", f)
	default:
		m.setBound("max", f)
	}
}

func (m *flaggerMetric) setBound(name string, f field) {
	set(m.bounds, name, text(f.value))
}

// readVariables reads the values of the variables in the query.
func (m *flaggerMetric) readVariables() {
	query := text(get(m.source, "query"))
	for _, v := range m.child("templateVariables").children() {
		name := argumentName(v.key.Value)
		if !strings.Contains(query, variable(name)) {
			v.unneeded("the query does not contain this variable", "")
			continue
		}
		m.values[name] = text(v.value)
		m.arguments = append(m.arguments, mapping("name", name, "value", text(v.value)))
	}
}

func (m *flaggerMetric) useTemplate(f field) {
	name, namespace := text(get(f.value, "name")), cmp.Or(text(get(f.value, "namespace")), m.a.r.namespace)
	i := slices.IndexFunc(m.a.r.c.templates, func(t *template) bool {
		return t.group == groupFlagger && t.name == name && isSame(t.namespace, namespace)
	})
	if i < 0 {
		f.lost(fmt.Sprintf("MetricTemplate %s is not in these files", name), "convert the files together")
		return
	}
	m.template = m.a.r.c.templates[i]
	m.template.isUsed = true
	table[*flaggerMetric]{carried: map[string]func(*flaggerMetric, field){
		"query": (*flaggerMetric).setQuery, "provider": (*flaggerMetric).readProvider,
	}}.walk(m, m.template.at("spec"))
}

func (m *flaggerMetric) readProvider(f field) {
	if kind := text(get(f.value, "type")); kind != "prometheus" {
		m.template.fail("spec", "there is no provider "+kind, "use PromQL (threshold), a document of a web provider, or a Job")
		m.isBroken = true
		return
	}
	table[*flaggerMetric]{
		carried: map[string]func(*flaggerMetric, field){
			"type":    func(*flaggerMetric, field) {},
			"address": func(m *flaggerMetric, f field) { m.a.r.c.useProvider(m.source, f, text(f.value)) },
		},
		dropped: map[string]verdict{
			"secretRef": lostCredentials, "insecureSkipVerify": lostCredentials, "headers": lostCredentials,
			"region": unneeded("Prometheus has no region"),
		},
	}.walk(m, f)
}

// The variables of Flagger in a query, longer forms first. The pods of the canary are those of its ReplicaSet.
var flaggerVariables = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`\{\{ *target *\}\}-primary-\[0-9a-zA-Z\]\+\(-\[0-9a-zA-Z\]\+\)`), "{{stableReplicaSet}}-.*"},
	{regexp.MustCompile(`\{\{ *target *\}\}-\[0-9a-zA-Z\]\+\(-\[0-9a-zA-Z\]\+\)`), "{{replicaSet}}-.*"},
	{regexp.MustCompile(`\{\{ *target *\}\}-primary`), "{{stableReplicaSet}}"},
	{regexp.MustCompile(`\{\{ *target *\}\}`), "{{replicaSet}}"},
	{regexp.MustCompile(`\{\{ *service *\}\}-primary`), "{{stableService}}"},
	{regexp.MustCompile(`\{\{ *service *\}\}(?:-canary)?`), "{{canaryService}}"},
	{regexp.MustCompile(`\{\{ *namespace *\}\}`), "{{namespace}}"},
	{regexp.MustCompile(`\{\{ *name *\}\}`), "{{rollout}}"},
	{regexp.MustCompile(`\{\{ *interval *\}\}`), "{{window}}"},
}

var flaggerArgument = regexp.MustCompile(`\{\{ *variables\.([A-Za-z0-9_-]+) *\}\}`)

// inOurVariables writes the variables of a query as the operator has them.
func inOurVariables(query string) string {
	for _, v := range flaggerVariables {
		query = v.pattern.ReplaceAllLiteralString(query, v.is)
	}
	return flaggerArgument.ReplaceAllStringFunc(query, func(match string) string {
		return variable(argumentName(flaggerArgument.FindStringSubmatch(match)[1]))
	})
}

func (m *flaggerMetric) setQuery(f field) {
	query := mapped(f.value, inOurVariables)
	for _, name := range analysis.Variables(query.Value) {
		if !slices.Contains(analysis.VariableNames, name) && !strings.HasPrefix(name, analysis.VariableArgument) {
			f.failed(fmt.Sprintf("the query contains {{%s}}, which has no counterpart", name), "write it with the variables that docs/analysis.md lists")
			m.isBroken = true
			return
		}
	}
	if query.Value != f.value.Value {
		f.unneeded("variables are replaced: the pods of the canary are those of {{replicaSet}}, and its Service is {{canaryService}}",
			"compare the query with the labels of your metrics")
	}
	set(m.source, "query", query)
}

// successRate is the name of the metric of Flagger whose threshold is a minimum.
const successRate = "request-success-rate"

// builtin are queries for the metrics that Flagger knows by name, about a histogram that many applications export. Those of Flagger
// are about the series of its provider.
var builtin = map[string]string{
	successRate: `100 * sum(rate(http_request_duration_seconds_count{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*",status!~"5.*"}[{{window}}]))
  / sum(rate(http_request_duration_seconds_count{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*"}[{{window}}]))
`,
	"request-duration": `1000 * histogram_quantile(0.99, sum by (le) (rate(
  http_request_duration_seconds_bucket{namespace="{{namespace}}",pod=~"{{replicaSet}}-.*"}[{{window}}])))
`,
}

// useBuiltin sets the query of a metric that Flagger knows by name.
func (m *flaggerMetric) useBuiltin() {
	name := m.child("name")
	query := builtin[text(name.value)]
	if query == "" || m.template != nil || get(m.source, "query") != nil {
		return
	}
	set(m.source, "query", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.LiteralStyle, Value: query})
	name.lost("the query of Flagger depends on its provider; this one is about the histogram http_request_duration_seconds of the pods",
		"check that your pods export it with the labels of the query, or use a metric of config/samples/metrics")
}

// addSchedule adds how often the metric is measured, and how many failures are tolerated: one less than end a release of Flagger.
func (m *flaggerMetric) addSchedule() {
	const most = 1000
	set(m.source, "window", m.window)
	m.source.Content = append(m.source.Content, m.bounds.Content...)
	set(m.source, "interval", plan.Duration(m.a.interval))
	count := int(v1alpha1.DefaultMetricCount)
	if m.a.iterations > 0 {
		count = m.a.iterations
	}
	threshold := min(m.a.threshold, most)
	set(m.source, "count", min(max(count, threshold), most)) // with fewer, the metric could not fail
	if threshold > 1 {
		set(m.source, "failureLimit", threshold-1)
	}
}

// refer returns a reference to the CanaryMetric of the template. The metric itself is in the rollout if it has no template, if the
// template is in another namespace, or if its CanaryMetric has the range of another Canary.
func (m *flaggerMetric) refer() *yaml.Node {
	t := m.template
	if t == nil || !isSame(t.namespace, m.a.r.namespace) {
		return m.inRollout()
	}
	if len(t.metrics) == 0 {
		t.metrics = []*metric{{objectName: t.name, kind: "threshold", source: m.source}}
		for _, v := range analysis.Variables(text(get(m.source, "query"))) {
			if name, isArgument := strings.CutPrefix(v, analysis.VariableArgument); isArgument {
				t.arguments = append(t.arguments, argument{name: name})
			}
		}
		m.a.r.c.replace(t.object, t.canaryMetric(t.metrics[0]))
	}
	if !isEqual(t.metrics[0].source, m.source) {
		return m.inRollout()
	}
	ref := mapping("name", t.name)
	if len(m.arguments) > 0 {
		set(ref, "arguments", sequence(m.arguments...))
	}
	return mapping("name", m.name, "metricRef", ref)
}

// inRollout returns the metric with its query.
func (m *flaggerMetric) inRollout() *yaml.Node {
	if t := m.template; t != nil {
		t.note("metadata", "its query is in the rollouts that use it with another range, or from another namespace", "")
	}
	return mapping("name", m.name, "threshold", mapped(m.source, func(text string) string { return substitute(text, m.values) }))
}
