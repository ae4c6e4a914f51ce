// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// metric is a metric of a template under construction.
type metric struct {
	field
	c *converter
	t *template
	// name is how rollouts name it, and objectName that of its CanaryMetric.
	name, objectName string
	// kind is threshold, web or job, and source its fields.
	kind             string
	source, schedule *yaml.Node
	success, failure field
	// result is what the conditions are about, in CEL: a part of a document, or the result itself.
	result string
	window time.Duration
}

func (t *template) addMetric(c *converter, f field) {
	m := &metric{field: f, c: c, t: t, source: mapping(), schedule: mapping(), result: "result"}
	m.name = identifier(text(get(f.value, "name")), maxMetricName)
	if m.objectName = t.name; len(items(get(t.root, "spec", "metrics"))) > 1 {
		m.objectName += "-" + m.name
	}
	argoMetric.walk(m, f)
	if !m.judge() {
		f.failed(fmt.Sprintf("metric %s is not converted", m.name), "write it by hand, and add it to the analyses that use the template")
		return
	}
	t.metrics = append(t.metrics, m)
}

var argoMetric = table[*metric]{
	carried: map[string]func(*metric, field){
		"name":     (*metric).checkName,
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

func (m *metric) checkName(f field) { checkMetricName(f, m.name) }

// checkMetricName reports a metric that has to be renamed.
func checkMetricName(f field, name string) {
	if name != text(f.value) {
		f.unneeded("a metric has a name of lower case letters, digits and dashes: it is "+name, "")
	}
}

// literal returns a value in which the arguments have their defaults. It reports one that is not known, and returns nothing.
func (m *metric) literal(f field) string {
	values := map[string]string{}
	for _, a := range m.t.arguments {
		if a.fallback != nil {
			values[a.name] = text(a.fallback)
		}
	}
	value := substitute(renamed(text(f.value)), values)
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
		f.lost(fmt.Sprintf("it becomes %d, the most that is possible", most), "check the schedule of the metric")
		count = most
	}
	set(m.schedule, f.key.Value, count)
}

func (m *metric) readProvider(f field) {
	for _, provider := range f.children() {
		switch name := provider.key.Value; name {
		case "prometheus":
			m.kind = "threshold"
			argoPrometheus.walk(m, provider)
		case "web":
			m.kind = "web"
			argoWeb.walk(m, provider)
		case "job":
			m.kind = "job"
			set(m.source, "template", mapped(provider.value, renamed))
		default:
			provider.failed("there is no provider "+name,
				"use PromQL (threshold), a document of a web provider, or a Job; or let a person or a script decide at a pause")
		}
	}
}

const providersFile = "docs/operations.md, Metric providers"

var (
	lostCredentials = lost("TLS, headers and credentials belong to the provider", "write them into httpConfig of the provider: "+providersFile)
	lostTimeout     = lost("the timeout belongs to the provider", "set timeout of the provider: "+providersFile)
)

var argoPrometheus = table[*metric]{
	carried: map[string]func(*metric, field){
		"address": func(m *metric, f field) {
			m.c.useProvider(m.source, f, cmp.Or(m.literal(f), text(f.value)))
		},
		"query": func(m *metric, f field) { m.window = setQuery(m.source, f) },
	},
	dropped: map[string]verdict{
		"authentication": lostCredentials, "headers": lostCredentials, "insecure": lostCredentials, "timeout": lostTimeout,
		"rangeQuery": lost("queries are evaluated at one moment", "write a subquery, for example max_over_time(...[5m:30s])"),
	},
}

// useProvider names the provider of an address of Prometheus. The first address is that of the default provider.
func (c *converter) useProvider(source *yaml.Node, f field, address string) {
	if address == "" {
		f.unneeded("the address is empty, so it is that of the default provider", "")
		return
	}
	name, isKnown := c.providers[address]
	if !isKnown {
		if name = v1alpha1.DefaultProvider; len(c.providers) > 0 {
			name = identifier(withoutScheme(address), maxProviderName)
		}
		c.providers[address] = name
	}
	if name != v1alpha1.DefaultProvider {
		set(source, "provider", name)
	}
	loseAddress(f, address, "provider "+name)
}

func loseAddress(f field, address, provider string) {
	f.lost("the administrator names addresses, not the metric", fmt.Sprintf(
		"name %s as %s in the file of --metric-providers: %s", address, provider, providersFile))
}

func withoutScheme(address string) string {
	return strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
}

// judge converts the conditions, and adds the schedule. It reports whether the metric is complete.
func (m *metric) judge() bool {
	switch m.kind {
	case "job":
		m.loseSchedule()
		return true
	case "threshold":
		if get(m.source, "query") == nil || !m.setCondition(analysis.NumberCondition) {
			return false
		}
	case "web":
		if get(m.source, "provider") == nil || m.result == "" || !m.setCondition(analysis.DocumentCondition) {
			return false
		}
	default:
		return false
	}
	if get(m.schedule, "count") == nil && get(m.schedule, "interval") == nil {
		set(m.schedule, "count", 1) // the default of Argo Rollouts
	}
	m.source.Content = append(m.source.Content, m.schedule.Content...)
	return true
}

// loseSchedule reports what a Job does not have.
func (m *metric) loseSchedule() {
	for _, name := range []string{
		"interval", "initialDelay", "count", "failureLimit", "consecutiveErrorLimit", "successCondition", "failureCondition",
	} {
		if f := m.child(name); f.isSet() {
			f.lost("a Job runs once, and decides by its completion", "put retries and limits into the Job: backoffLimit, activeDeadlineSeconds")
		}
	}
}

// uses reports whether a text of the metric contains an argument.
func (m *metric) uses(argument string) (isUsed bool) {
	mapped(m.source, func(text string) string {
		isUsed = isUsed || strings.Contains(text, variable(argument))
		return text
	})
	return isUsed
}

// takes returns how long the metric takes, at least.
func (m *metric) takes() time.Duration {
	const job = 15 * time.Minute // a guess
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
