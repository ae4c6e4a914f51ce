// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// flaggerCanary converts a Canary and its Deployment. The Services and the route get new names: Flagger owns those that it has
// created, and they are deleted with the Canary.
func (c *converter) flaggerCanary(o *object) {
	r := &rollout{object: o, c: c, spec: mapping(), maxWeight: 100}
	target := o.at("spec", "targetRef")
	kind, name := text(get(target.value, "kind")), text(get(target.value, "name"))
	if kind == "Deployment" {
		r.workload = c.find(kind, o.namespace, name)
	}
	if r.workload == nil || get(r.workload.root, "spec", "template") == nil {
		target.failed(fmt.Sprintf("the pod template is in %s %s, which is not in these files", kind, name),
			"add the Deployment to the files: its template becomes that of the CanaryRollout. Other kinds cannot be released")
		c.drop(o)
		return
	}
	r.apex = cmp.Or(text(get(o.root, "spec", "service", "name")), name)
	r.stable, r.canary = r.apex+"-rollout-stable", r.apex+"-rollout-canary"
	flaggerSpec.walk(r, o.at("spec"))
	if len(r.routes) == 0 {
		o.fail("spec.service", "there is no service, so no traffic could be shifted", "add it")
	}
	r.finish()
	c.redirect(r, kind, name)
}

const noCounterpart = "it has no counterpart"

var flaggerSpec = table[*rollout]{
	carried: map[string]func(*rollout, field){
		"targetRef": (*rollout).flaggerTarget, "provider": read, "progressDeadlineSeconds": (*rollout).keep,
		"service": (*rollout).flaggerService, "skipAnalysis": read, "suspend": (*rollout).flaggerSuspend,
		"analysis": (*rollout).flaggerAnalysis, "canaryAnalysis": (*rollout).flaggerAnalysis, "autoscalerRef": (*rollout).flaggerScaler,
	},
	dropped: map[string]verdict{
		"metricsServer":    lost("the administrator names the metric server", "name it as a provider: "+providersFile),
		"revertOnDeletion": unneeded("a deleted rollout returns all traffic to its stable pods, and leaves them"),
		"ingressRef":       lost("only the Gateway API is supported", "look at the proposed route"),
		"routeRef":         lost("only the Gateway API is supported", "look at the proposed route"),
		"upstreamRef":      lost("only the Gateway API is supported", "look at the proposed route"),
	},
}

// flaggerTarget takes the spec of the Deployment.
func (r *rollout) flaggerTarget(f field) {
	table[*rollout]{
		carried: map[string]func(*rollout, field){"apiVersion": read, "kind": read, "name": read},
		dropped: map[string]verdict{"namespace": unneeded("everything is in the namespace of the rollout")},
	}.walk(r, f)
	r.c.drop(r.workload)
	r.workload.expectVersion("v1")
	r.workload.note("metadata", fmt.Sprintf("the Deployment becomes CanaryRollout %s, with the metadata of the Canary", r.name), "")
	carried := map[string]func(*rollout, field){
		"replicas": (*rollout).keep, "template": (*rollout).keep, "minReadySeconds": (*rollout).keep, "paused": (*rollout).keep,
		"revisionHistoryLimit": (*rollout).keepLimit, "selector": (*rollout).keepSelector, "progressDeadlineSeconds": (*rollout).keep,
	}
	dropped := map[string]verdict{"strategy": unneeded("the steps of the rollout replace it")}
	if get(r.root, "spec", "progressDeadlineSeconds") != nil {
		delete(carried, "progressDeadlineSeconds")
		dropped["progressDeadlineSeconds"] = unneeded("that of the Canary applies")
	}
	table[*rollout]{carried: carried, dropped: dropped}.walk(r, r.workload.at("spec"))
}

func (r *rollout) flaggerSuspend(f field) {
	if !isTrue(f.value) {
		f.unneeded("false is the default", "")
		return
	}
	f.unneeded("it becomes paused: steps and promotion wait, and routes are still restored", "")
	set(r.spec, "paused", true)
}

func (r *rollout) flaggerScaler(f field) {
	table[*rollout]{
		carried: map[string]func(*rollout, field){"kind": read, "name": (*rollout).flaggerScalerName},
		dropped: map[string]verdict{
			"apiVersion":            unneeded("the autoscaler itself names its target"),
			"primaryScalerQueries":  lost("there is one autoscaler, without a copy for the stable pods", "write the queries into the ScaledObject"),
			"primaryScalerReplicas": lost("there is one autoscaler, without a copy for the stable pods", "write the limits into the autoscaler"),
		},
	}.walk(r, f)
}

func (r *rollout) flaggerScalerName(f field) {
	ref := r.at("spec", "autoscalerRef")
	kind := text(get(ref.value, "kind"))
	if r.c.find(kind, r.namespace, text(f.value)) != nil {
		ref.unneeded("the autoscaler is pointed to the CanaryRollout", "")
		return
	}
	ref.lost(fmt.Sprintf("%s %s is not in these files", kind, text(f.value)), "let its scaleTargetRef name CanaryRollout "+r.name)
}

// flaggerService is what spec.service becomes: two Services and a route.
type flaggerService struct {
	*rollout
	port, distribution              *yaml.Node
	parents, hosts, matches         []*yaml.Node
	filters                         []*yaml.Node
	timeouts                        *yaml.Node
	stableMetadata, canaryMetadata  *yaml.Node
	discovers                       bool
	requestHeaders, responseHeaders *yaml.Node
}

func (r *rollout) flaggerService(f field) {
	s := &flaggerService{rollout: r, port: mapping("name", "http"), timeouts: mapping(), stableMetadata: r.metadata(r.stable), canaryMetadata: r.metadata(r.canary)}
	flaggerServiceFields.walk(s, f)
	if get(s.port, "port") == nil {
		f.failed("the service has no port", "add it")
		return
	}
	if get(s.port, "targetPort") == nil {
		set(s.port, "targetPort", get(s.port, "port"))
	}
	s.addServices()
	s.addRoute(f)
	f.child("name").lost(fmt.Sprintf("the Services of Flagger and its route are deleted with the Canary; %s, %s and the new route replace them", r.stable, r.canary),
		fmt.Sprintf("let clients in the cluster use Service %s", r.stable))
	r.putTraffic(f)
	if text(get(r.root, "spec", "skipAnalysis")) == "false" {
		r.at("spec", "skipAnalysis").unneeded("false is the default", "")
	}
}

var flaggerServiceFields = table[*flaggerService]{
	carried: map[string]func(*flaggerService, field){
		"name":                func(*flaggerService, field) {},
		"port":                func(s *flaggerService, f field) { set(s.port, "port", f.value) },
		"portName":            func(s *flaggerService, f field) { set(s.port, "name", f.value) },
		"targetPort":          func(s *flaggerService, f field) { set(s.port, "targetPort", f.value) },
		"appProtocol":         func(s *flaggerService, f field) { set(s.port, "appProtocol", f.value) },
		"portDiscovery":       func(s *flaggerService, f field) { s.discover(f) },
		"trafficDistribution": func(s *flaggerService, f field) { s.distribution = f.value },
		"gatewayRefs":         func(s *flaggerService, f field) { s.parents = items(f.value) },
		"hosts":               (*flaggerService).setHosts,
		"match":               func(s *flaggerService, f field) { s.matches = routeMatches(f) },
		"timeout":             func(s *flaggerService, f field) { set(s.timeouts, "request", f.value) },
		"backendTimeout":      func(s *flaggerService, f field) { set(s.timeouts, "backendRequest", f.value) },
		"rewrite":             (*flaggerService).addRewrite,
		"headers":             (*flaggerService).addHeaders,
		"primary":             func(s *flaggerService, f field) { customMetadata.walk(s.stableMetadata, f) },
		"canary":              func(s *flaggerService, f field) { customMetadata.walk(s.canaryMetadata, f) },
	},
	dropped: map[string]verdict{
		"apex":              lost("there is no Service in front of both", "add the labels and annotations to the Service that clients use"),
		"unmanagedMetadata": unneeded("labels and annotations of Services are never removed"),
		"headless":          lost("the new Services have an address in the cluster", "add clusterIP: None to both if clients need it"),
		"mirror":            lost(noCounterpart, "add a RequestMirror filter to the route"),
		"corsPolicy":        lost(noCounterpart, "add a CORS filter to the route, if the gateway supports it"),
		"retries":           lost(noCounterpart, "use retry of the HTTPRoute or a policy of the gateway"),
		"gateways":          lost("these are Gateways of Istio", "name a Gateway of the Gateway API in parentRefs of the route"),
		"trafficPolicy":     lost(noCounterpart, "use a policy of the gateway or the mesh"),
		"delegation":        lost(noCounterpart, "write the route with its parents"),
		"meshName":          lost("only the Gateway API is supported", "use a route for a Service as its parent"),
		"backends":          lost("only the Gateway API is supported", "use a route for a Service as its parent"),
	},
}

// customMetadata adds labels and annotations to a Service.
var customMetadata = table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){"labels": keep, "annotations": keep}}

func (s *flaggerService) discover(f field) {
	if !isTrue(f.value) {
		f.unneeded("false is the default", "")
		return
	}
	s.discovers = true
}

// addServices adds the Services of the stable and the canary pods.
func (s *flaggerService) addServices() {
	ports := []*yaml.Node{s.port}
	for _, container := range items(get(s.workload.root, "spec", "template", "spec", "containers")) {
		for _, port := range items(get(container, "ports")) {
			number, name := text(get(port, "containerPort")), text(get(port, "name"))
			if target := text(get(s.port, "targetPort")); s.discovers && number != target && name != target {
				ports = append(ports, mapping("name", cmp.Or(name, "port-"+number), "port", get(port, "containerPort"), "targetPort", get(port, "containerPort")))
			}
		}
	}
	for _, metadata := range []*yaml.Node{s.stableMetadata, s.canaryMetadata} {
		spec := mapping("selector", s.labels(), "ports", sequence(ports...))
		if s.distribution != nil {
			set(spec, "trafficDistribution", s.distribution)
		}
		s.extra = append(s.extra, mapping("apiVersion", "v1", "kind", "Service", "metadata", metadata, "spec", spec))
	}
}

// addRoute adds the route. It is a proposal if Flagger did not use the Gateway API.
func (s *flaggerService) addRoute(f field) {
	provider := text(get(s.root, "spec", "provider"))
	isGatewayAPI := len(s.parents) > 0 && (provider == "" || strings.HasPrefix(provider, "gatewayapi"))
	if len(s.parents) == 0 {
		s.parents = []*yaml.Node{s.c.gateway()}
	}
	port, _ := number(get(s.port, "port"))
	hosts, matches := s.hosts, s.matches
	if !isGatewayAPI && len(hosts)+len(matches) == 0 {
		hosts, matches = s.hints()
	}
	rule := s.rule(matches, port)
	if len(s.filters) > 0 {
		set(rule, "filters", sequence(s.filters...))
	}
	if len(s.timeouts.Content) > 0 {
		set(rule, "timeouts", s.timeouts)
	}
	spec := mapping("parentRefs", sequence(s.parents...))
	if len(hosts) > 0 {
		set(spec, "hostnames", sequence(hosts...))
	}
	set(spec, "rules", sequence(rule))
	name := strings.TrimSuffix(s.stable, "-stable")
	route := newRoute(s.rollout, name, spec)
	s.routes = append(s.routes, mapping("kind", "HTTPRoute", "name", name))
	s.extra = append(s.extra, route)
	if isGatewayAPI {
		if provider != "" {
			s.at("spec", "provider").unneeded("every route is one of the Gateway API", "")
		}
		return
	}
	if provider != "" {
		f = s.at("spec", "provider")
	}
	provider = cmp.Or(provider, "the provider of Flagger")
	route.HeadComment = fmt.Sprintf("# A proposal of kubectl canary convert, in place of %s. Check parentRefs, hostnames and matches.", provider)
	f.lost(fmt.Sprintf("weights are set by the Gateway API, not by %s: HTTPRoute %s is a proposal", provider, name),
		"check its parentRefs, hostnames and matches, send the traffic through that Gateway, and remove what routed it before")
}

func (s *flaggerService) setHosts(f field) {
	for _, item := range f.items() {
		if text(item.value) == "*" {
			item.unneeded("a route without hostnames is for all hosts", "")
			continue
		}
		s.hosts = append(s.hosts, item.value)
	}
}

func (s *flaggerService) addRewrite(f field) {
	rewrite := mapping()
	table[*yaml.Node]{
		carried: map[string]func(*yaml.Node, field){
			"authority": func(n *yaml.Node, f field) { set(n, "hostname", f.value) },
			"uri": func(n *yaml.Node, f field) {
				set(n, "path", mapping("type", "ReplacePrefixMatch", "replacePrefixMatch", f.value))
			},
			"type": func(_ *yaml.Node, f field) {
				if text(f.value) != "ReplacePrefixMatch" {
					f.lost("the path is replaced as a prefix", "use ReplaceFullPath in the route")
					return
				}
				f.unneeded("the path is replaced as a prefix", "")
			},
		},
	}.walk(rewrite, f)
	s.filters = append(s.filters, mapping("type", "URLRewrite", "urlRewrite", rewrite))
}

func (s *flaggerService) addHeaders(f field) {
	for _, side := range []struct{ name, kind, field string }{
		{"request", "RequestHeaderModifier", "requestHeaderModifier"}, {"response", "ResponseHeaderModifier", "responseHeaderModifier"},
	} {
		if given := f.child(side.name); given.value != nil {
			modifier := mapping()
			headerChanges.walk(modifier, given)
			s.filters = append(s.filters, mapping("type", side.kind, side.field, modifier))
		}
	}
	table[*flaggerService]{carried: map[string]func(*flaggerService, field){
		"request": func(*flaggerService, field) {}, "response": func(*flaggerService, field) {},
	}}.walk(s, f)
}

// headerChanges converts maps of headers to the lists of the Gateway API.
var headerChanges = table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
	"add": listHeaders, "set": listHeaders, "remove": keep,
}}

func listHeaders(modifier *yaml.Node, f field) {
	var list []*yaml.Node
	for _, header := range f.children() {
		list = append(list, mapping("name", header.key.Value, "value", quoted(header.value)))
	}
	set(modifier, f.key.Value, sequence(list...))
}

// routeMatches converts matches of Istio to those of a route.
func routeMatches(f field) (matches []*yaml.Node) {
	for _, item := range f.items() {
		match := mapping()
		istioMatch.walk(match, item)
		if len(match.Content) > 0 {
			matches = append(matches, match)
		}
	}
	return matches
}

var istioMatch = table[*yaml.Node]{
	carried: map[string]func(*yaml.Node, field){
		"uri": func(match *yaml.Node, f field) {
			if path := istioPath(f.value); path != nil {
				set(match, "path", path)
				return
			}
			f.lost("it is neither exact, nor prefix, nor regex", "correct it")
		},
		"headers":     func(match *yaml.Node, f field) { set(match, "headers", namedMatches(f)) },
		"queryParams": func(match *yaml.Node, f field) { set(match, "queryParams", namedMatches(f)) },
		"method": func(match *yaml.Node, f field) {
			method := text(get(f.value, "exact"))
			if method == "" {
				f.lost("a method can only be exact", "write one match for each method")
				return
			}
			set(match, "method", method)
		},
	},
	dropped: map[string]verdict{
		"name":           unneeded("a match has no name"),
		"sourceLabels":   lost("a route does not know the pods of its clients", "tell clients apart by a header"),
		"withoutHeaders": lost("a match has no negation", "add a rule for the other requests before this one"),
		"ignoreUriCase":  lost("paths are case-sensitive", "use a regular expression"),
		"authority":      lost("a match has no host", "write it into hostnames of the route"),
		"scheme":         lost("a match has no scheme", "attach the route to a listener by sectionName"),
		"port":           lost("a match has no port", "attach the route to a listener by sectionName"),
		"gateways":       lost("a match has no gateway", "name it in parentRefs of the route"),
	},
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
