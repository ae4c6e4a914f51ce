// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// hints is what Ingresses and VirtualServices of the input say about the requests to the pods.
type hints struct {
	// services are the Services of the pods.
	services       []string
	hosts, matches []*yaml.Node
}

// hints looks for hosts and paths for a route that is proposed.
func (r *rollout) hints() hints {
	h := hints{services: []string{r.stable}}
	if r.apex != "" {
		h.services = append(h.services, r.apex)
	}
	for _, service := range r.services() {
		h.services = append(h.services, service.name)
	}
	for _, o := range r.c.objects {
		switch {
		case !isSame(o.namespace, r.namespace):
		case o.kind == "Ingress":
			h.readIngress(o)
		case o.kind == "VirtualService":
			h.readVirtualService(o)
		}
	}
	return h
}

func (h *hints) readIngress(o *object) {
	for _, rule := range o.at("spec", "rules").items() {
		for _, path := range rule.child("http").child("paths").items() {
			if !slices.Contains(h.services, text(get(path.value, "backend", "service", "name"))) {
				continue
			}
			h.addHost(text(get(rule.value, "host")))
			kind := "PathPrefix"
			if text(get(path.value, "pathType")) == "Exact" {
				kind = "Exact"
			}
			if value := text(get(path.value, "path")); strings.HasPrefix(value, "/") {
				h.addPath(mapping("type", kind, "value", value))
			}
		}
	}
}

func (h *hints) readVirtualService(o *object) {
	for _, rule := range o.at("spec", "http").items() {
		if !slices.ContainsFunc(rule.child("route").items(), h.isForPods) {
			continue
		}
		for _, host := range items(get(o.root, "spec", "hosts")) {
			h.addHost(text(host))
		}
		for _, match := range rule.child("match").items() {
			if path := istioPath(get(match.value, "uri")); path != nil {
				h.addPath(path)
			}
		}
	}
}

// isForPods reports whether a route of a VirtualService has one of the Services as its destination.
func (h *hints) isForPods(route field) bool {
	host, _, _ := strings.Cut(text(get(route.value, "destination", "host")), ".")
	return slices.Contains(h.services, host)
}

// addHost adds a host. The name of a Service is none.
func (h *hints) addHost(host string) {
	isKnown := slices.ContainsFunc(h.hosts, func(known *yaml.Node) bool { return known.Value == host })
	if !isKnown && strings.Contains(host, ".") && !strings.HasSuffix(host, ".svc.cluster.local") {
		h.hosts = append(h.hosts, scalar(host))
	}
}

func (h *hints) addPath(path *yaml.Node) {
	match := mapping("path", path)
	if !slices.ContainsFunc(h.matches, func(known *yaml.Node) bool { return isEqual(known, match) }) {
		h.matches = append(h.matches, match)
	}
}
