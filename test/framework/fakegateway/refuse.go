// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"errors"
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The limits of the HTTPRoute CRD. The API server enforces them too; here a violation is detected in any case.
const (
	maxRules           = 16
	maxMatchesPerRule  = 64
	maxMatchesPerRoute = 128
	maxConditions      = 16
	maxBackends        = 16
	maxWeight          = 1_000_000
)

// refusalOf returns why this gateway cannot accept a route, or nil if it can. A route that is not accepted is not
// routed.
func refusalOf(route *gatewayv1.HTTPRoute) error {
	if n := len(route.Spec.Rules); n == 0 || n > maxRules {
		return fmt.Errorf("there are %d rules, and 1 to %d may be", n, maxRules)
	}
	matches, names := 0, map[gatewayv1.SectionName]bool{}
	for i := range route.Spec.Rules {
		rule := &route.Spec.Rules[i]
		if err := refusalOfRule(rule); err != nil {
			return fmt.Errorf("rule %d: %w", i, err)
		}
		if rule.Name != nil && names[*rule.Name] {
			return fmt.Errorf("two rules have the name %s", *rule.Name)
		} else if rule.Name != nil {
			names[*rule.Name] = true
		}
		matches += len(matchesOf(rule))
	}
	if matches > maxMatchesPerRoute {
		return fmt.Errorf("there are %d matches, and %d may be", matches, maxMatchesPerRoute)
	}
	return nil
}

func refusalOfRule(rule *gatewayv1.HTTPRouteRule) error {
	if n := len(rule.Matches); n > maxMatchesPerRule {
		return fmt.Errorf("there are %d matches, and %d may be", n, maxMatchesPerRule)
	}
	for _, m := range rule.Matches {
		if len(m.Headers) > maxConditions || len(m.QueryParams) > maxConditions {
			return fmt.Errorf("a match has %d headers and %d query parameters, and %d may be", len(m.Headers), len(m.QueryParams), maxConditions)
		}
		if _, err := compileMatch(m); err != nil {
			return err
		}
	}
	if rule.Retry != nil || rule.SessionPersistence != nil {
		return errors.New("retry and sessionPersistence are not known")
	}
	for _, filter := range rule.Filters {
		switch filter.Type {
		case gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterRequestMirror:
		default:
			return fmt.Errorf("filter %s is not known", filter.Type)
		}
	}
	return refusalOfBackends(rule.BackendRefs)
}

func refusalOfBackends(refs []gatewayv1.HTTPBackendRef) error {
	if n := len(refs); n > maxBackends {
		return fmt.Errorf("there are %d backendRefs, and %d may be", n, maxBackends)
	}
	for _, ref := range refs {
		if ref.Weight != nil && (*ref.Weight < 0 || *ref.Weight > maxWeight) {
			return fmt.Errorf("weight %d of %s is not within 0 and %d", *ref.Weight, ref.Name, maxWeight)
		}
		if len(ref.Filters) > 0 {
			return fmt.Errorf("the filters of backendRef %s are not known", ref.Name)
		}
	}
	return nil
}
