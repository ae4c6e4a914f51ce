// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// ConditionKind says what the variable result of a condition is.
type ConditionKind string

const (
	// NumberCondition is a condition of a threshold: result is a double.
	NumberCondition ConditionKind = "Number"
	// DocumentCondition is a condition of a web metric: result is a JSON document. Its numbers are doubles.
	DocumentCondition ConditionKind = "Document"
)

const (
	// maxConditionCost is what one evaluation may cost, in units of CEL. It takes a few milliseconds.
	maxConditionCost = 100_000
	// maxConditionLength is that of the API: a longer expression is not compiled.
	maxConditionLength = 1024
	// maxConditionDepth is how deep an expression may be nested.
	maxConditionDepth = 50
)

// ErrTooExpensive is returned for a condition that takes too much computing time for its document.
var ErrTooExpensive = errors.New("the condition takes too much computing time for this document: make it simpler")

// Condition is a compiled CEL expression over the variable result. It is safe for concurrent use.
type Condition struct{ program cel.Program }

// Compile compiles a condition. The error is for the author of the condition.
func Compile(kind ConditionKind, expression string) (Condition, error) {
	if len(expression) > maxConditionLength {
		return Condition{}, fmt.Errorf("the condition is longer than %d characters", maxConditionLength)
	}
	variable := cel.DoubleType
	if kind == DocumentCondition {
		variable = cel.DynType
	}
	environment, err := cel.NewEnv(
		cel.Variable("result", variable), cel.CrossTypeNumericComparisons(true), cel.ParserRecursionLimit(maxConditionDepth),
	)
	if err != nil {
		return Condition{}, fmt.Errorf("set up CEL: %w", err)
	}
	compiled, issues := environment.Compile(expression)
	if issues.Err() != nil {
		return Condition{}, errors.New(compileMessage(issues))
	}
	if output := compiled.OutputType(); !output.IsExactType(cel.BoolType) && !output.IsExactType(cel.DynType) {
		return Condition{}, fmt.Errorf("the condition has the type %s: it must be true or false, for example result < 0.3", output)
	}
	program, err := environment.Program(compiled, cel.CostLimit(maxConditionCost))
	if err != nil {
		return Condition{}, fmt.Errorf("the condition cannot be used: %w", err)
	}
	return Condition{program}, nil
}

// compileMessage returns the first error with its position. Errors of CEL itself quote the whole expression, on several lines.
func compileMessage(issues *cel.Issues) string {
	first := issues.Errors()[0]
	message := strings.TrimPrefix(first.Message, "Syntax error: ")
	if first.Location == nil || first.Location.Line() < 1 {
		return message
	}
	return fmt.Sprintf("%s, at line %d, column %d", message, first.Location.Line(), first.Location.Column()+1)
}

// Eval evaluates the condition for a result. An error other than ErrTooExpensive says that the result is not what the condition
// is about, such as a document without a field: this is no verdict.
func (c Condition) Eval(result any) (bool, error) {
	value, _, err := c.program.Eval(map[string]any{"result": result})
	switch {
	case err != nil && strings.Contains(err.Error(), "cost limit exceeded"):
		return false, ErrTooExpensive
	case err != nil:
		return false, err
	}
	isTrue, isBool := value.(types.Bool)
	if !isBool {
		return false, fmt.Errorf("the condition is a %s for this document: it must be true or false", value.Type().TypeName())
	}
	return bool(isTrue), nil
}
