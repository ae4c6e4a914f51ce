// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import "go.yaml.in/yaml/v3"

// requestMatches converts matches in the form of Istio, which Flagger uses, to those of a route.
func requestMatches(f field) (matches []*yaml.Node) {
	for _, item := range f.items() {
		match := mapping()
		requestMatch.walk(match, item)
		if len(match.Content) > 0 {
			matches = append(matches, match)
		}
	}
	return matches
}

var requestMatch = func() table[*yaml.Node] {
	listener := lost("a match does not know where a request came in", "attach the route to a listener by sectionName")
	return table[*yaml.Node]{
		carried: map[string]func(*yaml.Node, field){
			"uri":         matchPath,
			"headers":     func(match *yaml.Node, f field) { set(match, "headers", namedMatches(f)) },
			"queryParams": func(match *yaml.Node, f field) { set(match, "queryParams", namedMatches(f)) },
			"method":      matchMethod,
		},
		dropped: map[string]verdict{
			"name":           unneeded("a match has no name"),
			"sourceLabels":   lost("a route does not know the pods of its clients", "tell clients apart by a header"),
			"withoutHeaders": lost("a match has no negation", "add a rule for the other requests before this one"),
			"ignoreUriCase":  lost("paths are case-sensitive", "use a regular expression"),
			"authority":      lost("a match has no host", "write it into hostnames of the route"),
			"scheme":         listener, "port": listener, "gateways": listener,
		},
	}
}()

func matchPath(match *yaml.Node, f field) {
	path := istioPath(f.value)
	if path == nil {
		f.lost("it is neither exact, nor prefix, nor regex", "correct it")
		return
	}
	set(match, "path", path)
}

func matchMethod(match *yaml.Node, f field) {
	method := text(get(f.value, "exact"))
	if method == "" {
		f.lost("a method can only be exact", "write one match for each method")
		return
	}
	set(match, "method", method)
}

// istioPath returns the path of a match of Istio, or nil.
func istioPath(uri *yaml.Node) *yaml.Node {
	for _, kind := range []struct{ istio, gateway string }{
		{"exact", "Exact"}, {"prefix", "PathPrefix"}, {"regex", "RegularExpression"},
	} {
		if value := text(get(uri, kind.istio)); value != "" {
			return mapping("type", kind.gateway, "value", value)
		}
	}
	return nil
}

// namedMatches converts a map of names and matches to a list.
func namedMatches(f field) *yaml.Node {
	var list []*yaml.Node
	for _, named := range f.children() {
		match := mapping("name", named.key.Value)
		stringMatch.walk(match, named)
		list = append(list, match)
	}
	return sequence(list...)
}
