// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// canaryWith returns a Canary with the given analysis, and its Deployment.
func canaryWith(analysis string) []byte {
	return fmt.Appendf(nil, `apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: web}
spec:
  provider: gatewayapi:v1
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  service: {port: 80, gatewayRefs: [{name: public}]}
  analysis: %s
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
`, analysis)
}

func TestFlaggerSteps(t *testing.T) {
	// weights returns the steps for weights with a pause of a minute after each.
	weights := func(weights ...int) string {
		var steps []string
		for _, weight := range weights {
			steps = append(steps, fmt.Sprintf(`{"setWeight":%d},{"pause":{"duration":"1m"}}`, weight))
		}
		return "[" + strings.Join(steps, ",") + "]"
	}
	tests := map[string]struct {
		analysis, want string
		// report is a part of the report.
		report string
	}{
		"steps":                     {analysis: "{stepWeight: 20, maxWeight: 60}", want: weights(20, 40, 60)},
		"the last exceeds the most": {analysis: "{stepWeight: 30, maxWeight: 50}", want: weights(30, 60)},
		"never more than all":       {analysis: "{stepWeight: 40}", want: weights(40, 80, 100)},
		"a list":                    {analysis: "{stepWeights: [1, 5, 50]}", want: weights(1, 5, 50)},
		"a list and a step":         {analysis: "{stepWeight: 10, stepWeights: [1, 20]}", want: weights(10, 20), report: "stepWeights: note: stepWeight replaces it"},
		"a short interval": {
			analysis: "{interval: 1s, stepWeight: 100}", want: `[{"setWeight":100},{"pause":{"duration":"10s"}}]`, report: `loss: the interval "1s" becomes 10s`,
		},
		"iterations": {
			analysis: "{iterations: 5, interval: 30s}", want: `[{"setCanaryScale":{"weight":100}},{"pause":{"duration":"2m30s"}}]`,
		},
		"copies": {
			analysis: "{iterations: 5, mirror: true}",
			want:     `[{"setCanaryScale":{"weight":100}},{"setMirrorRoute":{"percent":100}},{"pause":{"duration":"5m"}}]`,
		},
		"requests that match": {
			analysis: `{iterations: 5, match: [{headers: {a: {exact: b}}, uri: {prefix: /c}}]}`,
			want: `[{"setCanaryScale":{"weight":100}},{"setHeaderRoute":{"matches":[{"headers":[{"name":"a","type":"Exact","value":"b"}]}],"name":"ab-test"}},` +
				`{"pause":{"duration":"5m"}}]`,
			report: "match: loss: the path of entry 0 is left out",
		},
		"gates": {
			analysis: "{stepWeight: 50, maxWeight: 50, webhooks: [{type: confirm-rollout}, {type: confirm-traffic-increase}, {type: confirm-promotion}]}",
			want:     `[{"pause":{}},{"pause":{}},{"setWeight":50},{"pause":{"duration":"1m"}},{"pause":{}}]`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, _, report := converted(t, canaryWith(tc.analysis))
			if diff := cmp.Diff(tc.want, fieldOf(t, result, "CanaryRollout", "spec", "steps")); diff != "" {
				t.Errorf("steps differ (-want +got):\n%s", diff)
			}
			if !strings.Contains(report, tc.report) {
				t.Errorf("the report does not contain %q:\n%s", tc.report, report)
			}
		})
	}
}

// TestManyWeights checks that weights are left out if there are too many, but not the last, and that the rest is valid.
func TestManyWeights(t *testing.T) {
	result, _, report := converted(t, canaryWith("{stepWeight: 1, maxWeight: 70, webhooks: [{type: confirm-rollout}, {type: confirm-traffic-increase}, {type: confirm-promotion}]}"))
	steps := fieldOf(t, result, "CanaryRollout", "spec", "steps")
	if count := strings.Count(steps, `"setWeight"`); count < 20 || !strings.Contains(steps, `{"setWeight":70}`) {
		t.Errorf("%d weights: %s", count, steps)
	}
	if !strings.Contains(report, "spec.analysis.stepWeight: loss: 70 weights do not fit into 64 steps") {
		t.Errorf("the report is\n%s", report)
	}
	if entries, err := result.Check(t.Context()); err != nil || len(entries) > 0 {
		t.Errorf("error %v, findings:\n%s", err, lines(entries))
	}
}

// TestWithoutAnalysis checks that nothing is released step by step if Flagger does not do so either.
func TestWithoutAnalysis(t *testing.T) {
	content := strings.Replace(string(canaryWith("{stepWeight: 20}")), "  analysis:", "  skipAnalysis: True\n  analysis:", 1)
	result, objects, report := converted(t, []byte(content))
	if strings.Contains(objects, "steps:") || ExitCode(result.Report) != 1 || !strings.Contains(report, "spec.skipAnalysis: loss: the rollout has no steps") {
		t.Errorf("objects:\n%s\nreport:\n%s", objects, report)
	}
}
