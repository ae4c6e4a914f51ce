// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import "strings"

// Metric returns an edit that gives a rollout one metric in the background.
func Metric(fields string) string {
	return "spec.analysis: {metrics: [{name: errors, " + fields + "}]}"
}

// Gate returns an edit that gives a rollout one analysis step.
func Gate(fields string) string { return Steps("[{setWeight: 10}, {analysis: {" + fields + "}}]") }

const (
	total = `total: 'requests{service="{{service}}"}'`
	bad   = `bad: 'requests{service="{{service}}",code=~"5.."}'`
	// good is a threshold that is accepted.
	good = "threshold: {query: vector(1), min: '1'}"
	// oneKind and oneSource are parts of the messages about the kinds of metrics.
	oneKind   = "a metric must have exactly one of metricRef, compare, threshold, web and job"
	oneSource = "a CanaryMetric must have exactly one of compare, threshold, web and job"
	// bothRevisions is a part of the message about a series selector that is the same for both revisions.
	bothRevisions = "must contain one of {{service}}, {{revision}} and {{replicaSet}}"
	percentage    = "must be a percentage above 0 and at most 50"
	oneSecond     = "must be a duration of at least 1s"
	number        = "must be a number, for example 0."
)

func compare(fields string) string   { return "compare: {" + total + ", " + bad + ", " + fields + "}" }
func threshold(fields string) string { return "threshold: {query: vector(1), " + fields + "}" }
func web(fields string) string {
	return "web: {provider: checks, condition: result.ok, " + fields + "}"
}
func job(pod string) string { return "job: {template: {spec: {template: {spec: {" + pod + "}}}}}" }

var refusedAnalyses = map[string]Case{
	"metric of two kinds":     {Metric(good + ", metricRef: {name: a}"), oneKind},
	"metric of no kind":       {"spec.analysis: {metrics: [{name: errors}]}", oneKind},
	"metric without a name":   {"spec.analysis: {metrics: [{" + good + "}]}", "name: Required value"},
	"metric with a bad name":  {"spec.analysis: {metrics: [{name: Errors, " + good + "}]}", "must be lower case letters, digits and dashes"},
	"metric with a long name": {"spec.analysis: {metrics: [{name: " + strings.Repeat("a", 33) + ", " + good + "}]}", "may not be more than 32"},
	"metric twice":            {"spec.analysis: {metrics: [{name: a, " + good + "}, {name: a, " + good + "}]}", "Duplicate value"},
	"analysis of nothing":     {"spec.analysis: {}", "spec.analysis.metrics: Required value"},
	"analysis of no metrics":  {"spec.analysis: {metrics: []}", "should have at least 1 items"},
	"9 metrics":               {"spec.analysis: {metrics: [" + repeat(9, "{name: m%d, "+good+"}") + "]}", "must have at most 8 items"},

	"reference without a name":   {Metric("metricRef: {}"), "name: Required value"},
	"reference with a bad name":  {Metric("metricRef: {name: a_b}"), "must be the name of a CanaryMetric"},
	"reference of another scope": {Metric("metricRef: {name: a, scope: Cluster}"), `supported values: "Namespace", "Shared"`},
	"reference elsewhere":        {Metric("metricRef: {name: a, namespace: b}"), `unknown field "spec.analysis.metrics[0].metricRef.namespace"`},
	"argument twice":             {Metric("metricRef: {name: a, arguments: [{name: b, value: c}, {name: b, value: d}]}"), "Duplicate value"},
	"argument without a value":   {Metric("metricRef: {name: a, arguments: [{name: b}]}"), "value: Required value"},
	"argument with a bad name":   {Metric("metricRef: {name: a, arguments: [{name: B, value: c}]}"), "must be lower case letters, digits and dashes"},

	"comparison of bad and good":      {Metric(compare("good: 'a{service=\"{{service}}\"}'")), "a comparison must have exactly one of bad and good"},
	"comparison of total alone":       {Metric("compare: {" + total + "}"), "a comparison must have exactly one of bad and good"},
	"comparison without total":        {Metric("compare: {" + bad + "}"), "total: Required value"},
	"comparison of the same total":    {Metric("compare: {total: 'requests', " + bad + "}"), bothRevisions},
	"comparison of the same bad":      {Metric("compare: {" + total + ", bad: 'requests{service=\"{{ stableService }}\"}'}"), bothRevisions},
	"comparison of the same good":     {Metric("compare: {" + total + ", good: 'requests{service=\"service\"}'}"), bothRevisions},
	"falseAlarm of 0":                 {Metric(compare("falseAlarm: '0'")), percentage},
	"falseAlarm of 51":                {Metric(compare("falseAlarm: '51'")), percentage},
	"falseAlarm in words":             {Metric(compare("falseAlarm: rare")), percentage},
	"falseAlarm as a number":          {Metric(compare("falseAlarm: 1")), "must be of type string"},
	"negative relative tolerance":     {Metric(compare("tolerance: {relative: -1}")), "greater than or equal to 0"},
	"large relative tolerance":        {Metric(compare("tolerance: {relative: 10001}")), "less than or equal to 10000"},
	"absolute tolerance of 100":       {Metric(compare("tolerance: {absolute: '100'}")), "must be a percentage below 100"},
	"comparison every half a second":  {Metric(compare("interval: 500ms")), oneSecond},
	"comparison with an empty source": {Metric(compare("provider: ''")), "at least 1 chars long"},

	"threshold without a bound":    {Metric("threshold: {query: vector(1)}"), "a threshold must have min, max or condition"},
	"threshold without a query":    {Metric("threshold: {min: '1'}"), "query: Required value"},
	"threshold of two kinds":       {Metric(threshold("min: '1', condition: result > 1")), "condition replaces min and max"},
	"threshold of max and CEL":     {Metric(threshold("max: '1', condition: result < 1")), "condition replaces min and max"},
	"threshold in words":           {Metric(threshold("min: much")), number},
	"threshold with an exponent":   {Metric(threshold("max: '1e3'")), number},
	"threshold upside down":        {Metric(threshold("min: '1.5', max: '-1'")), "min must not be larger than max"},
	"threshold every half second":  {Metric(threshold("min: '1', interval: 0.5s")), oneSecond},
	"threshold of no window":       {Metric(threshold("min: '1', window: 0s")), oneSecond},
	"threshold of count 0":         {Metric(threshold("min: '1', count: 0")), "greater than or equal to 1"},
	"threshold of count 1001":      {Metric(threshold("min: '1', count: 1001")), "less than or equal to 1000"},
	"negative failureLimit":        {Metric(threshold("min: '1', failureLimit: -1")), "greater than or equal to 0"},
	"negative errors in a row":     {Metric(threshold("min: '1', consecutiveErrorLimit: -1")), "greater than or equal to 0"},
	"initialDelay in days":         {Metric(threshold("min: '1', initialDelay: 1d")), "must be a duration, for example 1m"},
	"threshold with failureRatio":  {Metric(threshold("min: '1', failureRatio: 1")), `unknown field "spec.analysis.metrics[0].threshold.failureRatio"`},
	"threshold of empty condition": {Metric(threshold("condition: ''")), "at least 1 chars long"},

	"web without a provider":    {Metric("web: {path: /, condition: result.ok}"), "provider: Required value"},
	"web without a condition":   {Metric("web: {provider: checks, path: /}"), "condition: Required value"},
	"web with a whole URL":      {Metric(web("path: 'http://somewhere/else'")), "must begin with one /"},
	"web with a host":           {Metric(web("path: //somewhere/else")), "must begin with one /"},
	"web with a field of Argo":  {Metric(web("jsonPath: '{$.ok}'")), `unknown field "spec.analysis.metrics[0].web.jsonPath"`},
	"job without a template":    {Metric("job: {}"), "template: Required value"},
	"job without a spec":        {Metric("job: {template: {}}"), "template.spec: Required value"},
	"job without a pod":         {Metric("job: {template: {spec: {}}}"), "template.spec.template: Required value"},
	"job without containers":    {Metric(job("restartPolicy: Never")), "containers: Required value"},
	"job of no containers":      {Metric(job("restartPolicy: Never, containers: []")), "should have at least 1 items"},
	"job without restartPolicy": {Metric(job("containers: [{name: a, image: b}]")), "restartPolicy: Required value"},
	"job that never ends":       {Metric(job("containers: [{name: a, image: b}], restartPolicy: Always")), `supported values: "Never", "OnFailure"`},

	"gate without a duration":    {Gate("metrics: [{name: a, " + good + "}]"), "duration: Required value"},
	"gate of 0s":                 {Gate("duration: 0s, metrics: [{name: a, " + good + "}]"), duration},
	"gate without metrics":       {Gate("duration: 5m"), "metrics: Required value"},
	"gate of no metrics":         {Gate("duration: 5m, metrics: []"), "should have at least 1 items"},
	"gate with another end":      {Gate("duration: 5m, onInconclusive: Wait, metrics: [{name: a, " + good + "}]"), `supported values: "Pause", "Proceed", "Abort"`},
	"gate that is also a weight": {Steps("[{setWeight: 10, analysis: {duration: 5m, metrics: [{name: a, " + good + "}]}}]"), "a step must have exactly one of"},
	"gate with metrics alike":    {Gate("duration: 5m, metrics: [{name: a, " + good + "}, {name: a, " + good + "}]"), "Duplicate value"},
	"bake without a duration":    {"spec.bake: {}", "spec.bake.duration: Required value"},
	"bake of 0s":                 {"spec.bake: {duration: 0s}", "must be a positive duration, for example 30m"},
	"bake in days":               {"spec.bake: {duration: 1d}", "must be a positive duration, for example 30m"},
	"bake with metrics":          {"spec.bake: {duration: 1h, metrics: []}", `unknown field "spec.bake.metrics"`},
}

var acceptedAnalyses = map[string]string{
	"a comparison":            Metric(compare("falseAlarm: '0.000001', tolerance: {relative: 0, absolute: '0'}, interval: 1s, provider: thanos")),
	"a comparison of latency": Metric(`compare: {total: 'seconds_count{pod=~"{{ replicaSet }}-.*"}', good: 'seconds_bucket{pod=~"{{replicaSet}}-.*",le="0.25"}'}`),
	"every threshold":         "spec.analysis: {metrics: [{name: a, threshold: {query: a, min: '-1', max: '-1'}}, {name: b, threshold: {query: b, max: '0.25', failureLimit: 0}}, {name: c, threshold: {query: c, condition: 'result > 1.0'}}]}",
	"a web metric":            Metric(web("path: '/checks?service={{service}}', interval: 1m, count: 1")),
	"a web metric at the URL": Metric("web: {provider: checks, condition: result.ok}"),
	"a job":                   Metric(job("restartPolicy: Never, containers: [{name: a, image: b, args: ['{{canaryService}}']}]")),
	"a reference":             Metric("metricRef: {name: errors.traefik, scope: Shared, arguments: [{name: port, value: ''}]}"),
	"every gate": Steps("[{setWeight: 10}, {analysis: {duration: 5m, onInconclusive: Proceed, metrics: [{name: a, " + good + "}, {name: b, metricRef: {name: b}}]}}, " +
		"{analysis: {duration: 1h30m, metrics: [{name: a, " + good + "}]}}]"),
	"a bake": "spec.bake: {duration: 1h}",
	"8 metrics and 64 gates": "spec.analysis: {metrics: [" + repeat(8, "{name: m%d, "+good+"}") + "]}\n" +
		Steps("["+repeat(64, "{analysis: {duration: 5m, metrics: [{name: m%d, "+compare("provider: a")+"}]}}")+"]"),
}

// CanaryMetric is the object that RefusedMetrics and AcceptedMetrics edit, in YAML.
const CanaryMetric = `{apiVersion: canaryrollout.dev/v1alpha1, kind: CanaryMetric, metadata: {name: errors}, spec: {` + good + `}}`

// RefusedMetrics has edits of CanaryMetric that are refused.
var RefusedMetrics = map[string]Case{
	"no spec":               {"spec: absent", "spec: Required value"},
	"no kind":               {"spec.threshold: absent", oneSource},
	"two kinds":             {"spec.job: {template: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}", oneSource},
	"a reference":           {"spec.metricRef: {name: a}", `unknown field "spec.metricRef"`},
	"a long description":    {"spec.description: " + strings.Repeat("a", 257), "may not be more than 256"},
	"an argument twice":     {"spec.arguments: [{name: a}, {name: a}]", "Duplicate value"},
	"an argument of a name": {"spec.arguments: [{name: A}]", "must be lower case letters, digits and dashes"},
	"17 arguments":          {"spec.arguments: [" + repeat(17, "{name: a%d}") + "]", "must have at most 16 items"},
	"a threshold":           {"spec.threshold: {query: a}", "a threshold must have min, max or condition"},
	"a comparison":          {"spec.threshold: absent\nspec.compare: {total: a, bad: b}", bothRevisions},
	"a job":                 {"spec.threshold: absent\nspec.job: {template: {}}", "spec.job.template.spec: Required value"},
}

// AcceptedMetrics has edits of CanaryMetric that are accepted.
var AcceptedMetrics = map[string]string{
	"as it is":  "spec.description: the share of requests that fail",
	"arguments": "spec.arguments: [{name: port}, {name: code, default: '5..'}, {name: empty, default: ''}]",
}
