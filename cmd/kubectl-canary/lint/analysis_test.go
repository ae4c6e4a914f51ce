// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/admission"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// errorsMetric is a CanaryMetric with one argument that must be given, and one with a default.
const errorsMetric = `
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryMetric
metadata: {name: errors, namespace: NAMESPACE}
spec:
  arguments: [{name: port}, {name: code, default: 5..}]
  compare:
    total: 'requests{service="{{service}}-{{args.port}}"}'
    bad: 'requests{service="{{service}}-{{args.port}}", code=~"{{args.code}}"}'
`

// gate returns an edit to steps with a weight and an analysis step.
func gate(weight, fields string) string {
	return admission.Steps("[{setWeight: " + weight + "}, {analysis: {" + fields + "}}, {pause: {}}]")
}

// TestAnalysis: what the API server accepts and a release would stumble over is found before it is applied.
func TestAnalysis(t *testing.T) {
	const (
		compare   = `compare: {total: 'requests{service="{{service}}"}', bad: 'requests{service="{{service}}", code=~"5.."}'}`
		threshold = `threshold: {query: 'errors{service="{{service}}"}', max: '1', `
		reference = "metricRef: {name: errors, arguments: [{name: port, value: http}]}"
		variables = ": use one of canaryReplicaSet, canaryRevision, canaryService, namespace, replicaSet, revision, rollout, service, stableReplicaSet, stableRevision, stableService, window"
		noPlace   = "canaryrollout.yaml:1: spec."
	)
	for name, tc := range map[string]struct {
		edits, metrics string
		want           []string
	}{
		"fine": {admission.Metric(compare) + "\n" + gate("10", "duration: 4m, metrics: [{name: a, "+threshold+"interval: 30s, count: 5}}]"), "", nil},

		"unknown variable": {admission.Metric(`compare: {total: 'requests{service="{{service}}"}', bad: 'requests{service="{{ servcie }}-{{service}}"}'}`), "",
			[]string{noPlace + `analysis.metrics[0].compare.bad: unknown variable "servcie"` + variables}},
		"unknown variable of a step": {gate("10", "duration: 5m, metrics: [{name: a, threshold: {query: 'a{b=\"{{service}}{{args.port}}\"}', min: '1'}}]"), "",
			[]string{noPlace + `steps[1].analysis.metrics[0].threshold.query: unknown variable "args.port"` + variables}},
		"unknown variable of a path": {admission.Metric("web: {provider: a, path: '/{{pod}}', condition: result.ok}"), "",
			[]string{noPlace + `analysis.metrics[0].web.path: unknown variable "pod"` + variables}},
		"unknown variable of a Job": {admission.Metric("job: {template: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: b, args: ['{{nothing}}']}]}}}}}"), "",
			[]string{noPlace + `analysis.metrics[0].job.template: unknown variable "nothing"` + variables}},
		"function instead of a counter": {admission.Metric(`compare: {total: 'sum(requests{service="{{service}}"})', bad: 'requests{service="{{service}}"}[1m]'}`), "",
			[]string{
				noPlace + "analysis.metrics[0].compare.total: it is not a series selector: write the name of a counter and its labels alone, without a function, a range or an operator, for example http_requests_total{service=\"{{service}}\"}",
				noPlace + "analysis.metrics[0].compare.bad: it is not a series selector: write the name of a counter and its labels alone, without a function, a range or an operator, for example http_requests_total{service=\"{{service}}\"}",
			}},
		"condition": {admission.Metric("threshold: {query: '{{service}}', condition: 'result > a'}"), "",
			[]string{noPlace + "analysis.metrics[0].threshold.condition: undeclared reference to 'a' (in container ''), at line 1, column 10"}},
		"condition of a document": {admission.Metric("web: {provider: a, condition: 'result.failed =< 1'}"), "",
			[]string{noPlace + "analysis.metrics[0].web.condition: token recognition error at: '=<', at line 1, column 15"}},
		"typo in a Job": {gate("10", "duration: 5m, metrics: [{name: a, job: {template: {spec: {backofLimit: 1, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b}]}}}}}}]"), "",
			[]string{noPlace + `steps[1].analysis.metrics[0].job.template.spec.backofLimit: unknown field "spec.steps[1].analysis.metrics[0].job.template.spec.backofLimit": did you mean backoffLimit?`}},

		"query beyond the window": {admission.Metric("threshold: {query: 'rate(a{b=\"[9h] {{service}}\"}[5m]) / rate(c[30s])', min: '1'}"), "",
			[]string{noPlace + "analysis.metrics[0].threshold.query: warning: it looks back 5m, and the first measurement is made when the canary has had its traffic for 1m: write [{{window}}], and set window"}},
		"query within the window": {admission.Metric("threshold: {query: 'rate(a{b=\"{{service}}\"}[5m:30s])', min: '1', window: 5m}"), "", nil},
		"query about anything": {admission.Metric("threshold: {query: 'rate(a[{{window}}])', min: '1'}"), "",
			[]string{noPlace + "analysis.metrics[0].threshold.query: warning: it names neither the canary Service nor its revision, so the pods of the stable revision are measured, too: use {{service}}, {{revision}} or {{replicaSet}}"}},
		"query about the Service by name": {admission.Metric("threshold: {query: 'rate(a{b=\"reviews-canary\"}[{{window}}])', min: '1'}"), "", nil},

		"never fails": {gate("10", "duration: 5m, metrics: [{name: a, "+threshold+"count: 3, failureLimit: 3}}]"), "",
			[]string{noPlace + "steps[1].analysis.metrics[0]: warning: metric a tolerates 3 failures, and 3 measurements decide: it can never fail: set failureLimit to less than count"}},
		"too short": {gate("10", "duration: 5m, metrics: [{name: a, "+threshold+"window: 2m, initialDelay: 1m, interval: 1m, count: 4}}]"), "",
			[]string{noPlace + "steps[1].analysis.duration: warning: metric a takes more than 6m, and the step ends after 5m, without a verdict: raise duration, or lower count, interval, window or initialDelay"}},
		"just too short": {gate("10", "duration: 3m, metrics: [{name: a, "+threshold+"interval: 30s, count: 5}}]"), "",
			[]string{noPlace + "steps[1].analysis.duration: warning: metric a takes more than 3m, and the step ends after 3m, without a verdict: raise duration, or lower count, interval, window or initialDelay"}},
		"too short to compare": {gate("10", "duration: 5s, metrics: [{name: a, "+compare+"}]"), "",
			[]string{noPlace + "steps[1].analysis.duration: warning: metric a takes more than 10s, and the step ends after 5s, without a verdict: raise duration, or lower count, interval, window or initialDelay"}},
		"nothing to compare": {gate("0", "duration: 5m, metrics: [{name: a, "+compare+"}]"), "",
			[]string{noPlace + "steps[1].analysis.metrics[0]: warning: no requests go to the canary at this step, so metric a has nothing to compare: put setWeight before it"}},
		"nothing to compare with": {admission.Steps("[{setWeight: 10}, {pause: {}}, {setWeight: 100}, {analysis: {duration: 5m, metrics: [{name: a, " + compare + "}]}}]"), "",
			[]string{
				noPlace + "steps[3].analysis.metrics[0]: warning: no requests go to the stable revision at weight 100, so metric a has nothing to compare with: put the step before setWeight 100",
			}},
		"nothing to measure": {admission.Metric(compare) + "\n" + admission.Steps("[{pause: {}}]"), "",
			[]string{noPlace + "analysis: warning: no step sends requests to the canary, so nothing is ever measured: add setWeight, setHeaderRoute or setMirrorRoute to spec.steps, or remove spec.analysis"}},

		"reference": {admission.Metric(reference), strings.ReplaceAll(errorsMetric, "NAMESPACE", "''"), nil},
		"reference to another file": {admission.Metric(reference), "",
			[]string{noPlace + "analysis.metrics[0].metricRef: note: CanaryMetric errors is not in these files: not checked"}},
		"shared reference": {admission.Metric("metricRef: {name: errors, scope: Shared, arguments: [{name: port, value: http}]}") + "\nmetadata.namespace: shop",
			strings.ReplaceAll(errorsMetric, "NAMESPACE", "operator"), nil},
		"reference elsewhere": {admission.Metric(reference) + "\nmetadata.namespace: shop", strings.ReplaceAll(errorsMetric, "NAMESPACE", "operator"),
			[]string{noPlace + "analysis.metrics[0].metricRef: CanaryMetric errors is in namespace operator, and the rollout in shop: put it into the namespace of the rollout, or set scope: Shared if the operator runs there"}},
		"missing argument": {admission.Metric("metricRef: {name: errors}"), strings.ReplaceAll(errorsMetric, "NAMESPACE", "''"),
			[]string{noPlace + "analysis.metrics[0].metricRef.arguments: the argument port has no value: add it to metricRef.arguments"}},
		"unknown argument": {admission.Metric("metricRef: {name: errors, arguments: [{name: port, value: a}, {name: prot, value: a}]}"), strings.ReplaceAll(errorsMetric, "NAMESPACE", "''"),
			[]string{noPlace + "analysis.metrics[0].metricRef.arguments: its CanaryMetric has no argument prot: remove it from metricRef.arguments"}},
		"too short by reference": {gate("10", "duration: 1s, metrics: [{name: a, "+reference+"}]"), strings.ReplaceAll(errorsMetric, "NAMESPACE", "''"),
			[]string{noPlace + "steps[1].analysis.duration: warning: metric a takes more than 10s, and the step ends after 1s, without a verdict: raise duration, or lower count, interval, window or initialDelay"}},
		"a bad CanaryMetric": {admission.Metric(reference), strings.NewReplacer("NAMESPACE", "''", "{{args.code}}", "{{args.kode}}").Replace(errorsMetric),
			[]string{`metrics.yaml:1: spec.compare.bad: unknown variable "args.kode": use one of args.code, args.port, ` + strings.TrimPrefix(variables, ": use one of ")}},
	} {
		t.Run(name, func(t *testing.T) {
			sources := sampleFiles(t)
			sources[0].Content = edited(t, tc.edits)
			if strings.Contains(tc.edits, "metadata.namespace") {
				sources = sources[:1]
			}
			if tc.metrics != "" {
				sources = append(sources, Source{"metrics.yaml", []byte(tc.metrics)})
			}
			manifests, found := read(t, sources...)
			var got []string
			for _, finding := range append(found, manifests.Check()...) {
				if !strings.Contains(finding.Path, "traffic") { // the other files of the sample
					got = append(got, finding.String())
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedMetrics checks that lint reports what a real API server rejects: test/integration sends it the same edits.
func TestRefusedMetrics(t *testing.T) {
	read := func(edits string) (*Manifests, string) {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(admission.CanaryMetric), &object); err != nil {
			t.Fatal(err)
		}
		if err := admission.Edit(object, edits); err != nil {
			t.Fatal(err)
		}
		content, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		manifests, found := read(t, Source{"metric.yaml", content})
		return manifests, lines(found)
	}
	for name, tc := range admission.RefusedMetrics {
		if manifests, text := read(tc.Edits); !strings.Contains(text, tc.Want) || len(manifests.Metrics) > 0 {
			t.Errorf("%s: findings\n%sdo not contain\n  %s", name, text, tc.Want)
		}
	}
	for name, edits := range admission.AcceptedMetrics {
		if manifests, text := read(edits); text != "" || len(manifests.Metrics) != 1 {
			t.Errorf("%s: refused:\n%s", name, text)
		}
	}
}

// TestMetricSamples: the shipped CanaryMetrics have no findings, and a rollout can refer to each without arguments.
func TestMetricSamples(t *testing.T) {
	files, err := filepath.Glob(repository.Path("config", "samples", "metrics", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var sources []Source
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, Source{filepath.Base(file), content})
	}
	samples, found := read(t, sources...)
	if text := lines(append(found, samples.Check()...)); text != "" {
		t.Errorf("findings:\n%s", text)
	}
	if len(samples.Metrics) != 14 {
		t.Errorf("%d metrics", len(samples.Metrics))
	}
	for _, metric := range samples.Metrics {
		edits := admission.Metric("metricRef: {name: " + metric.Name + ", scope: Shared}")
		manifests, found := read(t, append(sampleFiles(t)[1:], append(sources, Source{"rollout.yaml", edited(t, edits)})...)...)
		if text := lines(append(found, manifests.Check()...)); text != "" {
			t.Errorf("%s: findings:\n%s", metric.Name, text)
		}
	}
}
