// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// metric is a metric of a template under construction.
type metric struct {
	c *converter
	t *template
	field
	// name is how rollouts name it, and objectName that of its CanaryMetric.
	name, objectName string
	// kind is threshold, web or job, and source its fields.
	kind             string
	source, schedule *yaml.Node
	// jsonPath is the part of a document that the conditions are about, in CEL.
	jsonPath         string
	success, failure field
	window           time.Duration
}

func (t *template) addMetric(c *converter, f field) {
	m := &metric{c: c, t: t, field: f, schedule: mapping(), jsonPath: "result"}
	m.name = identifier(text(get(f.value, "name")), 32)
	if m.objectName = t.name; len(items(get(t.root, "spec", "metrics"))) > 1 {
		m.objectName += "-" + m.name
	}
	argoMetric.walk(m, f)
	if m.kind == "" || !m.judge() {
		f.failed(fmt.Sprintf("metric %s is not converted", m.name), "convert it by hand, and add it to the analyses that use the template")
		return
	}
	t.metrics = append(t.metrics, m)
}

var argoMetric = table[*metric]{
	carried: map[string]func(*metric, field){
		"name": func(m *metric, f field) {
			if m.name != text(f.value) {
				f.unneeded("a metric has a name of lower case letters, digits and dashes: it is "+m.name, "")
			}
		},
		"interval": (*metric).scheduleDuration, "initialDelay": (*metric).scheduleDuration,
		"count": (*metric).scheduleNumber, "failureLimit": (*metric).scheduleNumber, "consecutiveErrorLimit": (*metric).scheduleNumber,
		"successCondition": func(m *metric, f field) { m.success = f },
		"failureCondition": func(m *metric, f field) { m.failure = f },
		"provider":         (*metric).readProvider,
	},
	dropped: map[string]verdict{
		"inconclusiveLimit":       lost("a measurement is good, bad, or has no data", "see onInconclusive of analysis steps"),
		"consecutiveSuccessLimit": lost("a metric passes after count measurements, not after some good ones in a row", "set count and failureLimit"),
	},
}

// literal returns a value in which the arguments have their defaults, and reports one that is not known.
func (m *metric) literal(f field) string {
	values := map[string]string{}
	for _, a := range m.t.arguments {
		if a.value != nil {
			values[a.name] = text(a.value)
		}
	}
	value := substitute(m.rename(text(f.value)), values)
	if strings.Contains(value, "{{") {
		f.lost("arguments can only be in queries, paths and Jobs, so this is left out", "set the field by hand")
		return ""
	}
	if value != text(f.value) {
		f.unneeded("it has the default of its argument, "+value, "")
	}
	return value
}

func (m *metric) scheduleDuration(f field) {
	value := m.literal(f)
	if value == "" {
		return
	}
	if duration := durationOf(field{f.object, f.key, scalar(value), f.path}); duration != "" {
		set(m.schedule, f.key.Value, duration)
	}
}

func (m *metric) scheduleNumber(f field) {
	value := m.literal(f)
	if value == "" {
		return
	}
	const most = 1000
	count, err := strconv.Atoi(value)
	switch {
	case err != nil:
		f.lost(fmt.Sprintf("%q is not a number", value), "correct it")
		return
	case count == 0 && f.key.Value == "count":
		f.unneeded("0 is the default", "")
		return
	case count < 0 || count > most:
		f.lost(fmt.Sprintf("the limit is %d", most), "raise the interval instead")
		count = most
	}
	set(m.schedule, f.key.Value, count)
}

func (m *metric) readProvider(f field) {
	for _, provider := range f.children() {
		switch provider.key.Value {
		case "prometheus":
			m.kind, m.source = "threshold", mapping()
			argoPrometheus.walk(m, provider)
		case "web":
			m.kind, m.source = "web", mapping()
			argoWeb.walk(m, provider)
		case "job":
			m.kind = "job"
			m.source = mapping("template", mapped(provider.value, m.rename))
		default:
			provider.failed(fmt.Sprintf("there is no provider %s", provider.key.Value),
				"use PromQL (threshold), a document of a web provider, or a Job; or let a person or a script decide at a pause")
		}
	}
}

const providersFile = "docs/operations.md, Metric providers"

var lostCredentials = lost("TLS, headers and credentials belong to the provider", "write them into httpConfig of the provider: "+providersFile)

var argoPrometheus = table[*metric]{
	carried: map[string]func(*metric, field){
		"address": func(m *metric, f field) { m.useProvider(f, m.literalAddress(f)) },
		"query":   (*metric).setQuery,
	},
	dropped: map[string]verdict{
		"authentication": lostCredentials, "headers": lostCredentials, "insecure": lostCredentials,
		"timeout":    lost("the timeout belongs to the provider", "set timeout of the provider: "+providersFile),
		"rangeQuery": lost("queries are evaluated at one moment", "write a subquery, for example max_over_time(...[5m:30s])"),
	},
}

// literalAddress is the address, with arguments if these are not known.
func (m *metric) literalAddress(f field) string { return cmp.Or(m.literal(f), m.rename(text(f.value))) }

// useProvider names the provider of an address. The first is the default one.
func (m *metric) useProvider(f field, address string) {
	name, isKnown := m.c.providers[address]
	if !isKnown {
		if name = v1alpha1.DefaultProvider; len(m.c.providers) > 0 {
			name = identifier(address, 63)
		}
		m.c.providers[address] = name
	}
	if name != v1alpha1.DefaultProvider {
		set(m.source, "provider", name)
	}
	f.lost("the administrator names addresses, not the metric", fmt.Sprintf("name %s as provider %s in the file of --metric-providers: %s", address, name, providersFile))
}

// setQuery carries a query over. A range becomes the window, so that only requests to the canary are counted.
func (m *metric) setQuery(f field) {
	query := f.value
	var ranges []string
	literalRange.ReplaceAllStringFunc(query.Value, func(match string) string {
		if match[0] == '[' {
			ranges = append(ranges, rangeOf(match))
		}
		return match
	})
	isOne := len(ranges) > 0
	for _, r := range ranges {
		isOne = isOne && r == ranges[0] && r != ""
		if parsed := promDuration(r); parsed > m.window {
			m.window = parsed
		}
	}
	set(m.source, "query", mapped(query, func(text string) string {
		if isOne && promDuration(ranges[0]) > 0 {
			text = literalRange.ReplaceAllStringFunc(text, func(match string) string {
				if match[0] != '[' {
					return match
				}
				return "[{{window}}]"
			})
		}
		return m.rename(text)
	}))
	if m.window > 0 {
		window := plan.Duration(m.window)
		set(m.source, "window", window)
		f.unneeded(fmt.Sprintf("the range of the query is its window, so the first measurement waits %s", window), "set a shorter window if it may")
	}
}

// judge converts the conditions, and adds the schedule.
func (m *metric) judge() bool {
	switch m.kind {
	case "job":
		return m.judgeJob()
	case "threshold":
		if get(m.source, "query") == nil {
			m.field.failed("the metric has no query", "add it")
			return false
		}
		if !m.setCondition(analysis.NumberCondition) {
			return false
		}
	case "web":
		if get(m.source, "provider") == nil {
			m.field.failed("the metric has no url", "add it")
			return false
		}
		if !m.setCondition(analysis.DocumentCondition) {
			return false
		}
	}
	if get(m.schedule, "count") == nil && get(m.schedule, "interval") == nil {
		set(m.schedule, "count", 1)
	}
	m.source.Content = append(m.source.Content, m.schedule.Content...)
	return true
}

// judgeJob checks that nothing but the Job decides.
func (m *metric) judgeJob() bool {
	for _, f := range m.field.children() {
		switch f.key.Value {
		case "interval", "initialDelay", "count", "failureLimit", "consecutiveErrorLimit", "successCondition", "failureCondition":
			f.lost("a Job runs once, and decides by its completion", "put retries and limits into the Job: backoffLimit, activeDeadlineSeconds")
		}
	}
	return true
}

// uses reports whether a text of the metric contains an argument.
func (m *metric) uses(a argument) bool {
	isUsed := false
	mapped(m.source, func(text string) string {
		isUsed = isUsed || strings.Contains(text, "{{args."+a.name+"}}")
		return text
	})
	return isUsed
}

// takes returns how long the metric takes, at least.
func (m *metric) takes() time.Duration {
	const job = 15 * time.Minute
	if m.kind == "job" {
		return job
	}
	count, ok := number(get(m.schedule, "count"))
	if !ok {
		count = int(v1alpha1.DefaultMetricCount)
	}
	interval, err := time.ParseDuration(text(get(m.schedule, "interval")))
	if err != nil {
		interval = v1alpha1.DefaultMetricInterval
	}
	delay, _ := time.ParseDuration(text(get(m.schedule, "initialDelay"))) // 0 if there is none
	return delay + max(m.window, v1alpha1.DefaultMetricWindow) + time.Duration(count)*interval
}

var argumentVariable = regexp.MustCompile(`\{\{\s*args\.([^{}\s]+)\s*\}\}`)

// rename writes the arguments in a text with the names that they have here.
func (m *metric) rename(text string) string {
	return argumentVariable.ReplaceAllStringFunc(text, func(match string) string {
		return "{{args." + identifier(argumentVariable.FindStringSubmatch(match)[1], 32) + "}}"
	})
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
