// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// exact is the default type of a header or query parameter match.
const exact = "Exact"

// errDisjoint means that no request can match both.
var errDisjoint = errors.New("no request can match both")

// condition is a header or query parameter match.
type condition struct{ name, how, value string }

// join ANDs a match of a route and one of a header route. CRD defaults are spelled out: the API server would fill
// them in, and the rule would then never equal its fresh rendering.
func (kind profile) join(match map[string]any, request v1alpha1.RequestMatch) (map[string]any, error) {
	if err := kind.canMatch(request); err != nil {
		return nil, err
	}
	joined := runtime.DeepCopyJSON(match)
	if kind.http && joined["path"] == nil {
		joined["path"] = map[string]any{"type": "PathPrefix", "value": "/"}
	}
	headers := make([]condition, 0, len(request.Headers))
	for _, h := range request.Headers {
		headers = append(headers, conditionOf(string(h.Name), h.Type, h.Value))
	}
	params := make([]condition, 0, len(request.QueryParams))
	for _, q := range request.QueryParams {
		params = append(params, conditionOf(string(q.Name), q.Type, q.Value))
	}
	return joined, errors.Join(
		joinConditions(joined, "headers", headers, strings.EqualFold),
		joinConditions(joined, "queryParams", params, func(a, b string) bool { return a == b }),
		joinMethod(joined, request), joinGRPCMethod(joined, request))
}

// canMatch returns an error unless routes of this kind support all conditions of a match, and there is one.
func (kind profile) canMatch(request v1alpha1.RequestMatch) error {
	switch {
	case len(request.Headers)+len(request.QueryParams) == 0 && request.Method == nil && request.GRPCMethod == nil:
		return errors.New("a match without headers, queryParams, method and grpcMethod would send every request to the canary")
	case !kind.http && len(request.QueryParams) > 0:
		return errors.New("gRPC requests have no query parameters: match headers or grpcMethod")
	case !kind.http && request.Method != nil:
		return errors.New("gRPC requests have no HTTP method to match: match headers or grpcMethod")
	case !kind.grpc && request.GRPCMethod != nil:
		return errors.New("only a GRPCRoute matches gRPC methods: match headers, queryParams or method")
	default:
		return nil
	}
}

func conditionOf[T ~string](name string, how *T, value string) condition {
	if how == nil {
		return condition{name, exact, value}
	}
	return condition{name, string(*how), value}
}

// joinConditions adds conditions to a list of a match. A name can occur there only once.
func joinConditions(match map[string]any, key string, wanted []condition, same func(a, b string) bool) error {
	if len(wanted) == 0 {
		return nil
	}
	items := list(match, key)
	if items == nil && match[key] != nil {
		return fmt.Errorf("its %s cannot be read", key)
	}
	for _, want := range wanted {
		have := find(items, want.name, same)
		switch {
		case have == nil:
			items = append(items, map[string]any{"type": want.how, "name": want.name, "value": want.value})
		case have.how == want.how && have.value == want.value:
		case have.how == exact && want.how == exact:
			return errDisjoint
		default:
			return fmt.Errorf("both match %s, one by %s %q and one by %s %q, which one rule cannot express: use another name in setHeaderRoute",
				want.name, have.how, have.value, want.how, want.value)
		}
	}
	match[key] = items
	return nil
}

// find returns the condition with that name, or nil.
func find(items []any, name string, same func(a, b string) bool) *condition {
	for _, item := range items {
		have, _ := item.(map[string]any)
		if found := field(have, "name", ""); same(found, name) {
			return &condition{found, field(have, "type", exact), field(have, "value", "")}
		}
	}
	return nil
}

func joinMethod(match map[string]any, request v1alpha1.RequestMatch) error {
	if request.Method == nil {
		return nil
	}
	method := string(*request.Method)
	if field(match, "method", method) != method {
		return errDisjoint
	}
	match["method"] = method
	return nil
}

// joinGRPCMethod ANDs the gRPC methods of both.
func joinGRPCMethod(match map[string]any, request v1alpha1.RequestMatch) error {
	if request.GRPCMethod == nil {
		return nil
	}
	want := map[string]any{"type": string(ptr.Deref(request.GRPCMethod.Type, exact))}
	for name, value := range map[string]*string{"service": request.GRPCMethod.Service, "method": request.GRPCMethod.Method} {
		if value != nil {
			want[name] = *value
		}
	}
	have, isSet := match["method"].(map[string]any)
	switch {
	case !isSet && match["method"] != nil:
		return errors.New("its method cannot be read")
	case !isSet:
		match["method"] = want
		return nil
	case equality.Semantic.DeepEqual(have, want):
		return nil
	case field(have, "type", exact) != exact || want["type"] != exact:
		return errors.New("both match the gRPC method, one of them by a regular expression, which one rule cannot express: match headers in setHeaderRoute")
	default:
		return errors.Join(joinName(have, want, "service"), joinName(have, want, "method"))
	}
}

// joinName copies a name that only want has. Different names are disjoint.
func joinName(have, want map[string]any, key string) error {
	was, is := field(have, key, ""), field(want, key, "")
	switch {
	case was != "" && is != "" && was != is:
		return errDisjoint
	case was == "" && is != "":
		have[key] = is
	}
	return nil
}
