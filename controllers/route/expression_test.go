// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/json"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// TestCheckExpressions: a gateway may accept an expression that it cannot compile, and drop the rule.
func TestCheckExpressions(t *testing.T) {
	for match, want := range map[string]string{
		`{headers: [{name: a, value: "("}]}`:                                   "", // exact
		`{headers: [{name: a, value: "^(a|b)$", type: RegularExpression}]}`:    "",
		`{headers: [{name: a, value: "(", type: RegularExpression}]}`:          `matches[0].headers[0].value: "(" is not a valid regular expression (RE2): missing closing )`,
		`{queryParams: [{name: a, value: "a(?=b)", type: RegularExpression}]}`: `matches[0].queryParams[0].value: "a(?=b)" is not a valid regular expression (RE2): invalid or unsupported Perl syntax`,
		`{grpcMethod: {type: RegularExpression, method: "*"}}`:                 `matches[0].grpcMethod.method: "*" is not a valid regular expression (RE2): missing argument to repetition operator`,
		`{grpcMethod: {type: Exact, method: "*"}}`:                             "",
		`{method: GET}`: "",
	} {
		content, err := yaml.YAMLToJSON([]byte("{name: qa, matches: [" + match + "]}"))
		if err != nil {
			t.Fatal(err)
		}
		var headerRoute v1alpha1.SetHeaderRoute
		if err := json.Unmarshal(content, &headerRoute); err != nil {
			t.Fatal(err)
		}
		got := ""
		if problem := CheckExpressions(headerRoute); problem != nil {
			got = problem.Error()
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", match, got, want)
		}
	}
}
