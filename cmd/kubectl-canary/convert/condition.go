// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

var (
	// comparison is a condition of the most common form.
	comparison = regexp.MustCompile(`^result *(>=|<=|>|<) *(-?[0-9]{1,15}(?:[.][0-9]{1,9})?)$`)
	// inverse has the comparison that is true when another one is not.
	inverse = map[string]string{">=": "<", "<": ">=", "<=": ">", ">": "<="}
	// bounds are the fields of a threshold for a comparison.
	bounds = map[string]string{">=": "min", "<=": "max"}
	// word is a part of an expression that is replaced as a whole: a string, a name, a field or a number.
	word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\.?[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?`)
	// conversion is a function that makes a number of a result, which is one here.
	conversion = regexp.MustCompile(`\b(?:asFloat|asInt|float|int)\( *(result(?:\[0\])?) *\)`)
	// aboutData are parts of conditions that are about missing data, with what they are when there is a result.
	aboutData = []struct {
		part *regexp.Regexp
		is   string
	}{
		{regexp.MustCompile(`\bdefault\( *(result(?:\[0\])?) *, *-?[0-9.]+ *\)`), "$1"},
		{regexp.MustCompile(`! *(?:isNaN|isInf|isNil)\( *result(?:\[0\])? *\)`), "true"},
		{regexp.MustCompile(`\b(?:isNaN|isInf|isNil)\( *result(?:\[0\])? *\)`), "false"},
		{regexp.MustCompile(`\blen\( *result *\) *(?:== *0|< *1)\b`), "false"},
		{regexp.MustCompile(`\blen\( *result *\) *(?:!= *0|> *0|>= *1)\b`), "true"},
		{regexp.MustCompile(`\bfalse *(?:\|\||\bor\b) *`), ""},
		{regexp.MustCompile(`\btrue *(?:&&|\band\b) *`), ""},
		{regexp.MustCompile(` *(?:\|\||\bor\b) *false *$`), ""},
		{regexp.MustCompile(` *(?:&&|\band\b) *true *$`), ""},
	}
)

// The forms of a condition: one that is true for good results, and one that is true for bad ones.
const (
	formGood = "%s"
	formBad  = "!(%s)"
)

// setCondition converts the conditions of a metric. It reports whether it could.
func (m *metric) setCondition(kind analysis.ConditionKind) bool {
	good, isKnown := "true", true
	switch hasSuccess, hasFailure := m.success.isSet(), m.failure.isSet(); {
	case hasSuccess:
		good, isKnown = m.translate(m.success, kind, formGood)
		if isKnown && hasFailure {
			isKnown = m.checkFailure(kind, good)
		}
	case hasFailure:
		good, isKnown = m.translate(m.failure, kind, formBad)
	default:
		m.child("provider").unneeded("there is no condition, so every answer is good", "")
	}
	if !isKnown {
		return false
	}
	if parts := comparison.FindStringSubmatch(good); parts != nil && kind == analysis.NumberCondition && bounds[parts[1]] != "" {
		set(m.source, bounds[parts[1]], parts[2])
		return true
	}
	set(m.source, "condition", good)
	return true
}

// checkFailure reports results that both conditions leave open.
func (m *metric) checkFailure(kind analysis.ConditionKind, good string) bool {
	notBad, isKnown := m.translate(m.failure, kind, formBad)
	if notBad == good {
		m.failure.unneeded("what is not good is bad here, so successCondition says the same", "")
	} else {
		m.failure.lost("a result that is neither good nor bad was inconclusive, and is bad here", "adapt the condition")
	}
	return isKnown
}

// translate returns a condition in CEL that is true for good results.
func (m *metric) translate(f field, kind analysis.ConditionKind, form string) (string, bool) {
	given := conversion.ReplaceAllString(strings.TrimSpace(m.literal(f)), "$1")
	if given == "" {
		f.failed("there is no condition left", "write one in CEL into the CanaryMetric")
		return "", false
	}
	plain := given
	for _, known := range aboutData {
		plain = known.part.ReplaceAllString(plain, known.is)
	}
	if plain != given {
		f.lost("an answer without data is neither good nor bad here, so the part about it is left out",
			"if it is good, let the query return a value: add \"or vector(0)\"")
	}
	if kind == analysis.NumberCondition {
		plain = strings.ReplaceAll(plain, "result[0]", "result")
	}
	condition := fmt.Sprintf(form, m.inCEL(plain, kind))
	if parts := comparison.FindStringSubmatch(plain); parts != nil && kind == analysis.NumberCondition {
		operator := parts[1]
		if form == formBad {
			operator = inverse[operator]
		}
		condition = fmt.Sprintf("result %s %s", operator, parts[2])
	}
	if _, err := analysis.Compile(kind, condition); err != nil {
		f.failed("the condition cannot be converted to CEL: "+err.Error(), "write it in CEL, as min, max or condition of a CanaryMetric")
		return "", false
	}
	return condition, true
}

// inCEL writes the words of an expression as CEL has them. The result of a query is a double, so numbers are, too.
func (m *metric) inCEL(expression string, kind analysis.ConditionKind) string {
	words := map[string]string{
		"and": "&&", "or": "||", "not": "!", "nil": "null", "result": m.result,
		"asInt": "int", "asFloat": "double", "float": "double",
	}
	return word.ReplaceAllStringFunc(expression, func(part string) string {
		if replacement, isKnown := words[part]; isKnown {
			return replacement
		}
		isWhole := part[0] >= '0' && part[0] <= '9' && !strings.Contains(part, ".")
		if kind == analysis.NumberCondition && isWhole {
			return part + ".0"
		}
		return part
	})
}
