// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// useRoute adds a route that the object names, and sets its weights if it is in the files.
func (r *rollout) useRoute(f field, kind, name string) {
	if name == "" {
		return
	}
	r.routes = append(r.routes, mapping("kind", kind, "name", name))
	if o := r.c.find(kind, r.namespace, name); o == nil {
		f.unneeded(fmt.Sprintf("%s %s is not in these files", kind, name), fmt.Sprintf(
			"write weight 100 for %s and 0 for %s into it", r.stable, r.canary))
	} else {
		r.weigh(o)
	}
}

// weigh gives all traffic to the stable Service: a rollout at rest looks like that. A rule without the canary Service gets it.
// It reports whether a rule names the stable Service.
func (r *rollout) weigh(route *object) (found bool) {
	for _, rule := range route.at("spec", "rules").items() {
		refs := rule.child("backendRefs")
		stable, canary := backend(refs, r.stable), backend(refs, r.canary)
		if stable == nil {
			continue
		}
		found = true
		if canary == nil {
			added := resolved(stable.value)
			set(added, "name", r.canary)
			refs.value.Content = append(refs.value.Content, added)
			refs.unneeded(fmt.Sprintf("Service %s is added to the rule", r.canary), "")
			canary = backend(refs, r.canary)
		}
		setWeight(*stable, 100)
		setWeight(*canary, 0)
	}
	return found
}

func backend(refs field, service string) *field {
	for _, ref := range refs.items() {
		if text(get(ref.value, "name")) == service {
			return &ref
		}
	}
	return nil
}

func setWeight(ref field, weight int) {
	old := ref.child("weight")
	if value, ok := number(old.value); old.value != nil && (!ok || value != weight) {
		old.unneeded(fmt.Sprintf("it is %d, as in a rollout at rest", weight), "")
	}
	set(ref.value, "weight", weight)
}

// propose adds an HTTPRoute in place of another router.
func (r *rollout) propose(f field) {
	if len(r.routes) > 0 {
		f.lost("only the Gateway API is supported", "use the route that is proposed for the other router")
		return
	}
	name := r.name
	if r.c.find("HTTPRoute", r.namespace, name) != nil {
		name += "-rollout"
	}
	hosts, matches := r.hints()
	spec := mapping("parentRefs", sequence(r.c.gateway()))
	if len(hosts) > 0 {
		set(spec, "hostnames", sequence(hosts...))
	}
	set(spec, "rules", sequence(r.rule(matches, r.port())))
	route := newRoute(r, name, spec)
	route.HeadComment = fmt.Sprintf("# A proposal of kubectl canary convert, in place of %s. Check parentRefs, hostnames and matches.", r.router)
	r.extra = append(r.extra, route)
	r.routes = append(r.routes, mapping("kind", "HTTPRoute", "name", name))
	f.lost(fmt.Sprintf("weights are set by the Gateway API, not by %s: HTTPRoute %s is a proposal", r.router, name),
		"check its parentRefs, hostnames and matches, send the traffic through that Gateway, and remove what routed it before")
}

func newRoute(r *rollout, name string, spec *yaml.Node) *yaml.Node {
	return mapping("apiVersion", "gateway.networking.k8s.io/v1", "kind", "HTTPRoute", "metadata", r.metadata(name), "spec", spec)
}

// rule returns a rule with both Services.
func (r *rollout) rule(matches []*yaml.Node, port int) *yaml.Node {
	rule := mapping()
	if len(matches) > 0 {
		set(rule, "matches", sequence(matches...))
	}
	set(rule, "backendRefs", sequence(backendRef(r.canary, port, 0), backendRef(r.stable, port, 100)))
	return rule
}

func backendRef(service string, port, weight int) *yaml.Node {
	return mapping("group", "", "kind", "Service", "name", service, "port", port, "weight", weight)
}

// port returns the port of the Services for a new route.
func (r *rollout) port() int {
	ports := r.ports()
	if service := r.c.find("Service", r.namespace, r.stable); service != nil {
		ports = items(get(service.root, "spec", "ports"))
	}
	if len(ports) == 0 {
		return 80
	}
	port, _ := number(get(ports[0], "port"))
	return port
}

// hints returns the hosts and matches by which Ingresses and VirtualServices of the input send requests to the pods.
func (r *rollout) hints() (hosts, matches []*yaml.Node) {
	names := []string{r.stable, r.apex}
	for _, service := range r.services() {
		names = append(names, service.name)
	}
	for _, o := range r.c.objects {
		switch {
		case !isSame(o.namespace, r.namespace):
		case o.kind == "Ingress":
			for _, rule := range o.at("spec", "rules").items() {
				if found := ingressMatches(rule, names); len(found) > 0 {
					hosts, matches = addHost(hosts, text(get(rule.value, "host"))), append(matches, found...)
				}
			}
		case o.kind == "VirtualService":
			if found, isFor := virtualMatches(o, names); isFor {
				for _, host := range items(get(o.root, "spec", "hosts")) {
					hosts = addHost(hosts, text(host))
				}
				matches = append(matches, found...)
			}
		}
	}
	return hosts, matches
}

// addHost adds the name of a host. The short name of a Service is none.
func addHost(hosts []*yaml.Node, host string) []*yaml.Node {
	isKnown := slices.ContainsFunc(hosts, func(known *yaml.Node) bool { return known.Value == host })
	if isKnown || !strings.Contains(host, ".") || strings.HasSuffix(host, ".svc.cluster.local") {
		return hosts
	}
	return append(hosts, scalar(host))
}

func ingressMatches(rule field, services []string) (matches []*yaml.Node) {
	for _, path := range rule.child("http").child("paths").items() {
		if !slices.Contains(services, text(get(path.value, "backend", "service", "name"))) {
			continue
		}
		kind := "PathPrefix"
		if text(get(path.value, "pathType")) == "Exact" {
			kind = "Exact"
		}
		if value := text(get(path.value, "path")); strings.HasPrefix(value, "/") {
			matches = append(matches, pathMatch(kind, value))
		}
	}
	return matches
}

func pathMatch(kind, value string) *yaml.Node {
	return mapping("path", mapping("type", kind, "value", value))
}

// virtualMatches returns the matches of a VirtualService, and whether it sends requests to one of the Services.
func virtualMatches(o *object, services []string) (matches []*yaml.Node, isFor bool) {
	for _, rule := range o.at("spec", "http").items() {
		sends := slices.ContainsFunc(rule.child("route").items(), func(route field) bool {
			host, _, _ := strings.Cut(text(get(route.value, "destination", "host")), ".")
			return slices.Contains(services, host)
		})
		if !sends {
			continue
		}
		isFor = true
		for _, match := range rule.child("match").items() {
			if uri := istioPath(get(match.value, "uri")); uri != nil {
				matches = append(matches, mapping("path", uri))
			}
		}
	}
	return matches, isFor
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
