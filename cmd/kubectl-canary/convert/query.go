// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// stringOrRange is a string of PromQL, in which brackets mean nothing, or a range with its duration, and the resolution of a
// subquery.
var stringOrRange = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`" + `|\[\s*([0-9][0-9a-z]*)\s*(:[^\]]*)?\]`)

// setQuery carries a query over. A range becomes the window of the metric, so that only requests to the canary are counted: the
// first measurement waits for that long.
func setQuery(source *yaml.Node, f field) (window time.Duration) {
	durations := map[time.Duration]bool{}
	isSubquery := false
	for _, match := range stringOrRange.FindAllStringSubmatch(f.value.Value, -1) {
		if duration, err := model.ParseDuration(match[1]); err == nil {
			durations[time.Duration(duration)] = true
			window = max(window, time.Duration(duration))
			isSubquery = isSubquery || match[2] != ""
		}
	}
	query := mapped(f.value, renamed)
	if len(durations) == 1 && !isSubquery {
		query.Value = stringOrRange.ReplaceAllStringFunc(query.Value, func(match string) string {
			if strings.HasPrefix(match, "[") {
				return fmt.Sprintf("[{{%s}}]", analysis.VariableWindow)
			}
			return match
		})
	}
	set(source, "query", query)
	if window > 0 {
		set(source, "window", plan.Duration(window))
		f.unneeded(fmt.Sprintf("the range of the query is its window, so the first measurement waits %s", plan.Duration(window)),
			"shorten the window if that is too long")
	}
	return window
}
