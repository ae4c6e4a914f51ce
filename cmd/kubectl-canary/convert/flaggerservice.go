// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// flaggerService is what spec.service becomes: two Services and a route.
type flaggerService struct {
	*rollout
	// port and metadata are those of the Services.
	port                           *yaml.Node
	stableMetadata, canaryMetadata *yaml.Node
	distribution                   *yaml.Node
	discovers                      bool
	// The rest is of the route.
	parents, hosts, matches, filters []*yaml.Node
	timeouts                         *yaml.Node
}

func (r *rollout) flaggerService(f field) {
	s := &flaggerService{
		rollout: r, port: mapping("name", "http"), timeouts: mapping(),
		stableMetadata: r.metadata(r.stable), canaryMetadata: r.metadata(r.canary),
	}
	flaggerServiceFields.walk(s, f)
	if get(s.port, "port") == nil {
		f.failed("the service has no port", "add it")
		return
	}
	if get(s.port, "targetPort") == nil {
		set(s.port, "targetPort", get(s.port, "port"))
	}
	s.addServices()
	s.putRoute()
	f.child("name").lost(fmt.Sprintf("the Services of Flagger and its route are deleted with the Canary: %s, %s and the new route replace them", r.stable, r.canary),
		"let clients in the cluster use Service "+r.stable)
	r.putTraffic(f)
}

var flaggerServiceFields = func() table[*flaggerService] {
	mesh := lost("it is for a service mesh", "use a policy of the mesh or of the gateway")
	return table[*flaggerService]{
		carried: map[string]func(*flaggerService, field){
			"name":                func(*flaggerService, field) {},
			"port":                func(s *flaggerService, f field) { set(s.port, "port", f.value) },
			"portName":            func(s *flaggerService, f field) { set(s.port, "name", f.value) },
			"targetPort":          func(s *flaggerService, f field) { set(s.port, "targetPort", f.value) },
			"appProtocol":         func(s *flaggerService, f field) { set(s.port, "appProtocol", f.value) },
			"trafficDistribution": func(s *flaggerService, f field) { s.distribution = f.value },
			"portDiscovery":       (*flaggerService).discover,
			"gatewayRefs":         func(s *flaggerService, f field) { s.parents = items(f.value) },
			"hosts":               (*flaggerService).setHosts,
			"match":               func(s *flaggerService, f field) { s.matches = requestMatches(f) },
			"timeout":             func(s *flaggerService, f field) { set(s.timeouts, "request", f.value) },
			"backendTimeout":      func(s *flaggerService, f field) { set(s.timeouts, "backendRequest", f.value) },
			"rewrite":             (*flaggerService).addRewrite,
			"mirror":              (*flaggerService).addMirrors,
			"headers":             func(s *flaggerService, f field) { headerModifiers.walk(s, f) },
			"primary":             func(s *flaggerService, f field) { customMetadata.walk(s.stableMetadata, f) },
			"canary":              func(s *flaggerService, f field) { customMetadata.walk(s.canaryMetadata, f) },
		},
		dropped: map[string]verdict{
			"apex":              lost("there is no Service in front of both", "add the labels and annotations to the Service that clients use"),
			"unmanagedMetadata": unneeded("labels and annotations of Services are never removed"),
			"headless":          lost("the new Services have an address in the cluster", "add clusterIP: None to both if clients need it"),
			"corsPolicy":        lost("the route has no CORS filter", "add one, if the gateway supports it"),
			"retries":           lost("the route has no retries", "add retry to its rule, or use a policy of the gateway"),
			"gateways":          lost("these are Gateways of Istio", "name a Gateway of the Gateway API in parentRefs of the route"),
			"delegation":        mesh, "trafficPolicy": mesh, "meshName": mesh, "backends": mesh,
		},
	}
}()

// customMetadata adds labels and annotations to a Service.
var customMetadata = table[*yaml.Node]{
	carried: map[string]func(*yaml.Node, field){"labels": keep, "annotations": keep},
	dropped: map[string]verdict{"backendRef": lost("a backend of the route has no filters of its own", "add them to the backendRef of the route")},
}

func (s *flaggerService) discover(f field) {
	if s.discovers = isTrue(f.value); !s.discovers {
		f.unneeded("false is the default", "")
	}
}

func (s *flaggerService) setHosts(f field) {
	s.hosts = items(f.value)
	if slices.ContainsFunc(s.hosts, func(host *yaml.Node) bool { return text(host) == "*" }) {
		s.hosts = nil
		f.unneeded("a route without hostnames is for all hosts", "")
	}
}

// addServices adds the Services of the stable and the canary pods.
func (s *flaggerService) addServices() {
	ports := []*yaml.Node{s.port}
	target := text(get(s.port, "targetPort"))
	for _, port := range s.containerPorts() {
		isServed := target == text(get(port, "name")) || target == text(get(port, "targetPort"))
		if s.discovers && !isServed {
			ports = append(ports, port)
		}
	}
	for _, metadata := range []*yaml.Node{s.stableMetadata, s.canaryMetadata} {
		service := newService(metadata, s.labels(), ports)
		if s.distribution != nil {
			set(get(service, "spec"), "trafficDistribution", s.distribution)
		}
		s.extra = append(s.extra, service)
	}
}

// putRoute adds the route. It is a proposal if Flagger did not use the Gateway API.
func (s *flaggerService) putRoute() {
	provider := s.at("spec", "provider")
	isGatewayAPI := strings.HasPrefix(text(provider.value), "gatewayapi") || !provider.isSet() && len(s.parents) > 0
	if len(s.parents) == 0 {
		s.parents = []*yaml.Node{s.c.gateway()}
	}
	if !isGatewayAPI && len(s.hosts)+len(s.matches) == 0 {
		h := s.hints()
		s.hosts, s.matches = h.hosts, h.matches
	}
	port, _ := number(get(s.port, "port")) // lint says what is wrong with another one
	rule := s.rule(s.matches, port)
	if len(s.filters) > 0 {
		set(rule, "filters", sequence(s.filters...))
	}
	if len(s.timeouts.Content) > 0 {
		set(rule, "timeouts", s.timeouts)
	}
	name := s.apex + "-rollout"
	route := s.addRoute(name, s.parents, s.hosts, rule)
	switch {
	case !isGatewayAPI:
		s.router = cmp.Or(text(provider.value), "the provider that Flagger was started with")
		s.markProposal(provider, route, name)
	case provider.isSet():
		provider.unneeded("every route is one of the Gateway API", "")
	}
}

func (s *flaggerService) addRewrite(f field) {
	kind, name := "ReplaceFullPath", "replaceFullPath" // the default of Flagger
	if text(get(f.value, "type")) == "ReplacePrefixMatch" {
		kind, name = "ReplacePrefixMatch", "replacePrefixMatch"
	}
	rewrite := mapping()
	table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
		"authority": func(n *yaml.Node, f field) { set(n, "hostname", f.value) },
		"uri":       func(n *yaml.Node, f field) { set(n, "path", mapping("type", kind, name, f.value)) },
		"type": func(_ *yaml.Node, f field) {
			if text(f.value) != kind {
				f.lost("it is not known, so the whole path is replaced", "correct it")
			}
		},
	}}.walk(rewrite, f)
	if f.child("uri").isSet() && !f.child("type").isSet() {
		f.child("uri").unneeded("without a type, it replaces the whole path", "add the type ReplacePrefixMatch to the filter if only the prefix is meant")
	}
	s.filters = append(s.filters, mapping("type", "URLRewrite", "urlRewrite", rewrite))
}

func (s *flaggerService) addMirrors(f field) {
	for _, mirror := range f.items() {
		s.filters = append(s.filters, mapping("type", "RequestMirror", "requestMirror", mirror.value))
	}
}

// headerModifiers adds the filters that change headers.
var headerModifiers = table[*flaggerService]{carried: map[string]func(*flaggerService, field){
	"request": func(s *flaggerService, f field) {
		s.filters = append(s.filters, mapping("type", "RequestHeaderModifier", "requestHeaderModifier", headerModifier(f)))
	},
	"response": func(s *flaggerService, f field) {
		s.filters = append(s.filters, mapping("type", "ResponseHeaderModifier", "responseHeaderModifier", headerModifier(f)))
	},
}}

// headerModifier converts maps of headers to the lists of the Gateway API.
func headerModifier(f field) *yaml.Node {
	modifier := mapping()
	table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
		"add": listHeaders, "set": listHeaders, "remove": keep,
	}}.walk(modifier, f)
	return modifier
}

func listHeaders(modifier *yaml.Node, f field) {
	var list []*yaml.Node
	for _, header := range f.children() {
		list = append(list, mapping("name", header.key.Value, "value", asString(header.value)))
	}
	set(modifier, f.key.Value, sequence(list...))
}
