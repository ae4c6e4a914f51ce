// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

var (
	// comparison is a condition of the most common form.
	comparison = regexp.MustCompile(`^result *(>=|<=|>|<) *(-?[0-9]{1,15}(?:[.][0-9]{1,9})?)$`)
	// inverse has the comparison that is true when another one is not.
	inverse = map[string]string{">=": "<", "<": ">=", "<=": ">", ">": "<="}
	// word is a part of an expression that is replaced as a whole: a string, a name, a field or a number.
	word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\.?[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?`)
	// aboutData are parts of conditions that are about missing data, with what they are when there is a result.
	aboutData = []struct {
		part *regexp.Regexp
		is   string
	}{
		{regexp.MustCompile(`\bdefault\( *result(?:\[0\])? *, *-?[0-9.]+ *\)`), "result"},
		{regexp.MustCompile(`! *\b(?:isNaN|isInf|isNil)\( *result(?:\[0\])? *\)`), "true"},
		{regexp.MustCompile(`\b(?:isNaN|isInf|isNil)\( *result(?:\[0\])? *\)`), "false"},
		{regexp.MustCompile(`\blen\( *result *\) *(?:== *0|< *1)(?:[^0-9.]|$)`), "false "},
		{regexp.MustCompile(`\blen\( *result *\) *(?:!= *0|> *0|>= *1)(?:[^0-9.]|$)`), "true "},
		{regexp.MustCompile(`\bfalse *(?:\|\||\bor\b) *`), ""},
		{regexp.MustCompile(`\btrue *(?:&&|\band\b) *`), ""},
		{regexp.MustCompile(` *(?:\|\||\bor\b) *false *$`), ""},
		{regexp.MustCompile(` *(?:&&|\band\b) *true *$`), ""},
	}
	elementOrConversion = regexp.MustCompile(`\b(?:asFloat|asInt|float|int)\( *(result(?:\[0\])?) *\)`)
)

// setCondition converts the conditions of a metric. It reports whether it could.
func (m *metric) setCondition(kind analysis.ConditionKind) bool {
	good, isKnown := "true", true
	switch {
	case m.success.value != nil:
		good, isKnown = m.translate(m.success, kind, "%s")
	case m.failure.value != nil:
		good, isKnown = m.translate(m.failure, kind, "!(%s)")
	default:
		m.field.unneeded("there is no condition, so every answer is good", "")
	}
	if !isKnown {
		return false
	}
	if m.success.value != nil && m.failure.value != nil {
		bad, ok := m.translate(m.failure, kind, "!(%s)")
		if !ok {
			return false
		}
		if bad != good {
			m.failure.lost("a result that is neither good nor bad was inconclusive, and is bad here", "adapt the condition")
		}
	}
	if parts := comparison.FindStringSubmatch(good); parts != nil && kind == analysis.NumberCondition && strings.HasSuffix(parts[1], "=") {
		set(m.source, map[string]string{">=": "min", "<=": "max"}[parts[1]], stringNode(parts[2]))
		return true
	}
	set(m.source, "condition", good)
	return true
}

// translate returns a condition in CEL, in the given form.
func (m *metric) translate(f field, kind analysis.ConditionKind, form string) (string, bool) {
	plain := strings.TrimSpace(m.literal(f))
	if plain == "" {
		f.failed("the condition is empty, or contains an argument without a value", "write the condition in CEL into the CanaryMetric")
		return "", false
	}
	plain = elementOrConversion.ReplaceAllString(plain, "$1")
	before := plain
	for _, known := range aboutData {
		plain = known.part.ReplaceAllString(plain, known.is)
	}
	plain = strings.TrimSpace(plain)
	if plain != before {
		f.unneeded("an answer without data is neither good nor bad here, so the part about it is left out", "")
	}
	if kind == analysis.NumberCondition {
		plain = strings.ReplaceAll(plain, "result[0]", "result")
	}
	condition := fmt.Sprintf(form, m.words(plain, kind))
	if parts := comparison.FindStringSubmatch(plain); parts != nil && kind == analysis.NumberCondition {
		operator := parts[1]
		if form != "%s" {
			operator = inverse[operator]
		}
		condition = "result " + operator + " " + parts[2]
	}
	if _, err := analysis.Compile(kind, condition); err != nil {
		f.failed("the condition cannot be converted to CEL: "+err.Error(), "write it in CEL, as min, max or condition of a CanaryMetric")
		return "", false
	}
	return condition, true
}

// words writes names and numbers as CEL has them: a number of a query is a double, and operators are signs.
func (m *metric) words(condition string, kind analysis.ConditionKind) string {
	return word.ReplaceAllStringFunc(condition, func(part string) string {
		switch {
		case part == "and":
			return "&&"
		case part == "or":
			return "||"
		case part == "not":
			return "!"
		case part == "nil":
			return "null"
		case part == "result":
			return m.jsonPath
		case kind == analysis.NumberCondition && part[0] >= '0' && part[0] <= '9' && !strings.Contains(part, "."):
			return part + ".0"
		}
		return part
	})
}

// stringNode returns a number as a string.
func stringNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: value}
}

// literalRange is a string of PromQL, in which brackets mean nothing, or a range with a duration.
var literalRange = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`" + `|\[\s*[0-9][0-9a-z]*\s*(?::[^\]]*)?\]`)

// rangeOf returns the duration of a range; empty for a subquery, which keeps its duration.
func rangeOf(match string) string {
	inner, _, isSubquery := strings.Cut(strings.Trim(match, "[] "), ":")
	if isSubquery {
		return inner + ":"
	}
	return strings.TrimSpace(inner)
}

// promDuration returns a duration of PromQL, 0 if it is none.
func promDuration(text string) time.Duration {
	parsed, err := model.ParseDuration(strings.TrimSpace(strings.TrimSuffix(text, ":")))
	if err != nil {
		return 0
	}
	return time.Duration(parsed)
}

var (
	webURL = regexp.MustCompile(`^(https?://[^/?]+)(/[^/].*|/)?$`)
	// jsonPath is a path of fields and indexes, the part of JSONPath that CEL can express.
	jsonPath = regexp.MustCompile(`^\{? *\$?((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\['[^']+'\])*) *\}?$`)
	segment  = regexp.MustCompile(`\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\['[^']+'\]`)
)

var argoWeb = table[*metric]{
	carried: map[string]func(*metric, field){
		"url":      (*metric).setURL,
		"jsonPath": (*metric).setJSONPath,
		"method": func(_ *metric, f field) {
			if !strings.EqualFold(text(f.value), "GET") {
				f.lost("a web provider is asked by GET", "let the provider answer a GET request")
				return
			}
			f.unneeded("a web provider is asked by GET", "")
		},
	},
	dropped: map[string]verdict{
		"headers": lostCredentials, "authentication": lostCredentials, "insecure": lostCredentials,
		"timeoutSeconds": lost("the timeout belongs to the provider", "set timeout of the provider: "+providersFile),
		"body":           lost("a request has no body", "put what it says into the path"),
		"jsonBody":       lost("a request has no body", "put what it says into the path"),
	},
}

func (m *metric) setURL(f field) {
	parts := webURL.FindStringSubmatch(m.rename(text(f.value)))
	if parts == nil {
		f.failed("this is not the URL of a page", "correct it")
		return
	}
	name := identifier(strings.TrimPrefix(strings.TrimPrefix(parts[1], "https://"), "http://"), 63)
	set(m.source, "provider", name)
	if parts[2] != "" {
		set(m.source, "path", parts[2])
	}
	f.lost("the administrator names addresses, not the metric", fmt.Sprintf(
		"name %s as web provider %s in the file of --metric-providers: %s", parts[1], name, providersFile))
}

func (m *metric) setJSONPath(f field) {
	parts := jsonPath.FindStringSubmatch(strings.TrimSpace(text(f.value)))
	if parts == nil {
		f.failed("only a path of fields and indexes can be converted", "write the condition in CEL, for example result.items.all(i, i.ok)")
		m.kind = ""
		return
	}
	for _, part := range segment.FindAllString(parts[1], -1) {
		switch {
		case strings.HasPrefix(part, "['"):
			part = "[" + strconv.Quote(part[2:len(part)-2]) + "]"
		case strings.Contains(part, "-"):
			part = "[" + strconv.Quote(part[1:]) + "]"
		}
		m.jsonPath += part
	}
}
