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

// ExpressionProblem compiles the regular expressions of a header route, in RE2 syntax. It returns an error for the
// first invalid one, or nil. Gateways may accept a rule with such an expression and leave it out.
func ExpressionProblem(headerRoute v1alpha1.SetHeaderRoute) error {
	for i, match := range headerRoute.Matches {
		for _, e := range expressionsOf(match) {
			if err := compile(fmt.Sprintf("matches[%d].%s", i, e.path), e.value); err != nil {
				return err
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

func compile(path, expression string) error {
	_, err := regexp.Compile(expression)
	if err == nil {
		return nil
	}
	reason := err.Error()
	if invalid := (*syntax.Error)(nil); errors.As(err, &invalid) {
		reason = invalid.Code.String()
	}
	return fmt.Errorf("%s: %q is no regular expression (RE2): %s", path, expression, reason)
}
