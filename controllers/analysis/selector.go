// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"errors"
	"regexp"
	"strings"
)

// seriesSelector matches an optional name and optional matchers in braces. Prometheus checks the matchers themselves. Nothing
// outside of quotes ends the braces early or begins a comment.
var seriesSelector = regexp.MustCompile(
	`^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(\{([^{}"'` + "`" + `#]|"([^"\\\n]|\\.)*"|'([^'\\\n]|\\.)*'|` + "`[^`]*`" + `)*\})?\s*$`)

// CheckSelector returns an error for a text that is not a PromQL series selector. Counters of a comparison must be series
// selectors: each of them is evaluated at two times.
func CheckSelector(selector string) error {
	if strings.TrimSpace(selector) == "" || !seriesSelector.MatchString(selector) {
		return errors.New(`it is not a series selector: write the name of a counter and its labels alone, without a function, ` +
			`a range or an operator, for example http_requests_total{service="{{service}}"}`)
	}
	return nil
}
