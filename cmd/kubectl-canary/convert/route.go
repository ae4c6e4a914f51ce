// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// useRoute adds a route that the object names, and sets its weights if it is in the files.
func (r *rollout) useRoute(f field, kind, name string) {
	if name == "" {
		return
	}
	r.routes = append(r.routes, mapping("kind", kind, "name", name))
	if route := r.c.find(kind, r.namespace, name); route != nil {
		r.weigh(route)
		return
	}
	f.unneeded(fmt.Sprintf("%s %s is not in these files", kind, name), fmt.Sprintf(
		"write weight 100 for %s and 0 for %s into it", r.stable, r.canary))
}

// weigh gives all traffic to the stable Service: a rollout at rest looks like that.
func (r *rollout) weigh(route *object) {
	for _, rule := range route.at("spec", "rules").items() {
		refs := rule.child("backendRefs")
		stable, canary := backend(refs, r.stable), backend(refs, r.canary)
		if stable != nil && canary != nil {
			setWeight(*stable, 100)
			setWeight(*canary, 0)
		}
	}
}

// addCanary adds the canary Service to each rule that has only the stable one. It reports whether a rule names the stable one.
func (r *rollout) addCanary(route *object) (isFor bool) {
	for _, rule := range route.at("spec", "rules").items() {
		refs := rule.child("backendRefs")
		stable := backend(refs, r.stable)
		if stable == nil {
			continue
		}
		isFor = true
		if backend(refs, r.canary) == nil {
			added := resolved(stable.value)
			set(added, "name", r.canary)
			refs.value.Content = append(refs.value.Content, added)
			refs.unneeded(fmt.Sprintf("Service %s is added to the rule", r.canary), "")
		}
	}
	return isFor
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
	h := r.hints()
	route := r.addRoute(name, []*yaml.Node{r.c.gateway()}, h.hosts, r.rule(h.matches, r.port()))
	r.markProposal(f, route, name)
}

// markProposal says in the route and in the report that the route is a guess.
func (r *rollout) markProposal(f field, route *yaml.Node, name string) {
	route.HeadComment = fmt.Sprintf("# A proposal of kubectl canary convert, in place of %s. Check parentRefs, hostnames and matches.", r.router)
	f.lost(fmt.Sprintf("weights are set by the Gateway API, not by %s: HTTPRoute %s is a proposal", r.router, name),
		"check its parentRefs, hostnames and matches, send the traffic through that Gateway, and remove what routed it before")
}

// addRoute adds a new route to the rollout.
func (r *rollout) addRoute(name string, parents, hosts []*yaml.Node, rule *yaml.Node) *yaml.Node {
	spec := mapping("parentRefs", sequence(parents...))
	if len(hosts) > 0 {
		set(spec, "hostnames", sequence(hosts...))
	}
	set(spec, "rules", sequence(rule))
	route := mapping("apiVersion", "gateway.networking.k8s.io/v1", "kind", "HTTPRoute", "metadata", r.metadata(name), "spec", spec)
	r.extra = append(r.extra, route)
	r.routes = append(r.routes, mapping("kind", "HTTPRoute", "name", name))
	return route
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
