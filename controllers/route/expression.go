// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// ExpressionError is an invalid regular expression of a header route.
type ExpressionError struct {
	// Path is the field of the header route, for example matches[0].headers[0].value.
	Path string
	// Message quotes the expression and says what is wrong with it.
	Message string
}

// Error implements error.
func (e *ExpressionError) Error() string { return e.Path + ": " + e.Message }

// CheckExpressions compiles the regular expressions of a header route, in RE2 syntax. It returns the first that is
// invalid, or nil. Gateways may accept a rule with such an expression and leave it out.
func CheckExpressions(headerRoute v1alpha1.SetHeaderRoute) *ExpressionError {
	for i, match := range headerRoute.Matches {
		for _, e := range expressionsOf(match) {
			if message := compile(e.value); message != "" {
				return &ExpressionError{Path: fmt.Sprintf("matches[%d].%s", i, e.path), Message: message}
			}
		}
	}
	return nil
}

// expression is a regular expression and its path in a match.
type expression struct{ path, value string }

func expressionsOf(match v1alpha1.RequestMatch) (found []expression) {
	for i, header := range match.Headers {
		if ptr.Deref(header.Type, gatewayv1.HeaderMatchExact) == gatewayv1.HeaderMatchRegularExpression {
			found = append(found, expression{fmt.Sprintf("headers[%d].value", i), header.Value})
		}
	}
	for i, param := range match.QueryParams {
		if ptr.Deref(param.Type, gatewayv1.QueryParamMatchExact) == gatewayv1.QueryParamMatchRegularExpression {
			found = append(found, expression{fmt.Sprintf("queryParams[%d].value", i), param.Value})
		}
	}
	if method := match.GRPCMethod; method != nil && ptr.Deref(method.Type, gatewayv1.GRPCMethodMatchExact) == gatewayv1.GRPCMethodMatchRegularExpression {
		found = append(found, expression{"grpcMethod.service", ptr.Deref(method.Service, "")},
			expression{"grpcMethod.method", ptr.Deref(method.Method, "")})
	}
	return found
}

// compile returns why an expression is invalid, or an empty string.
func compile(expression string) string {
	_, err := regexp.Compile(expression)
	if err == nil {
		return ""
	}
	reason := err.Error()
	if invalid := (*syntax.Error)(nil); errors.As(err, &invalid) {
		reason = invalid.Code.String()
	}
	return fmt.Sprintf("%q is not a valid regular expression (RE2): %s", expression, reason)
}
