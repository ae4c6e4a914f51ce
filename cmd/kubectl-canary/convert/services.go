// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// hashLabel is the label by which Argo Rollouts lets a Service select one revision.
const hashLabel = "rollouts-pod-template-hash"

// nameServices sets the two Services by the fields that name them. One without a name is new.
func (r *rollout) nameServices(f field, stable, canary string) {
	ports := r.ports()
	for _, side := range []struct {
		field, role string
		name        *string
	}{{stable, "stable", &r.stable}, {canary, "canary", &r.canary}} {
		named := f.child(side.field)
		if *side.name = text(named.value); *side.name != "" {
			r.useService(named, *side.name)
			continue
		}
		*side.name = r.name + "-" + side.role
		if r.c.find("Service", r.namespace, *side.name) == nil {
			r.extra = append(r.extra, newService(r.metadata(*side.name), r.labels(), ports))
		}
		named.unneeded(fmt.Sprintf("a rollout needs a Service for its %s pods, so %s is new", side.role, *side.name), "check its ports")
	}
}

// useService looks at a Service that the object names. It stays as it is, without the marks of the other tool.
func (r *rollout) useService(f field, name string) {
	service := r.c.find("Service", r.namespace, name)
	if service == nil {
		f.unneeded(fmt.Sprintf("Service %s is not in these files: it stays as it is", name), "")
		return
	}
	unmark(service.at("spec", "selector"), hashLabel)
	unmark(service.at("metadata", "annotations"), "argo-rollouts.argoproj.io/managed-by-rollouts")
}

// unmark removes what the other tool has added to a mapping.
func unmark(f field, name string) {
	if mark := f.child(name); mark.value != nil {
		mark.unneeded("the other tool has set this, so it is removed", "")
		remove(f.value, name)
	}
}

func newService(metadata, selector *yaml.Node, ports []*yaml.Node) *yaml.Node {
	return mapping("apiVersion", "v1", "kind", "Service", "metadata", metadata, "spec", mapping("selector", selector, "ports", sequence(ports...)))
}

// labels returns the labels that select the pods.
func (r *rollout) labels() *yaml.Node {
	for _, o := range []*object{r.object, r.workload} {
		if labels := get(o.root, "spec", "selector", "matchLabels"); labels != nil {
			return labels
		}
	}
	return mapping()
}

// services returns the Services of the input that select the pods.
func (r *rollout) services() (found []*object) {
	pod := get(r.workload.root, "spec", "template", "metadata", "labels")
	for _, o := range r.c.objects {
		if o.kind != "Service" || o.group != "" || !isSame(o.namespace, r.namespace) {
			continue
		}
		labels := o.at("spec", "selector").children()
		selects := len(labels) > 0
		for _, label := range labels {
			name := label.key.Value
			selects = selects && (name == hashLabel || text(get(pod, name)) == text(label.value))
		}
		if selects {
			found = append(found, o)
		}
	}
	return found
}

// ports returns the ports for a new Service: those of a Service that selects the pods, or those of the containers.
func (r *rollout) ports() (ports []*yaml.Node) {
	for _, service := range r.services() {
		for _, port := range items(get(service.root, "spec", "ports")) {
			port = resolved(port)
			remove(port, "nodePort") // it can be given only once
			ports = append(ports, port)
		}
		if len(ports) > 0 {
			return ports
		}
	}
	if ports = r.containerPorts(); len(ports) == 0 {
		ports = []*yaml.Node{mapping("name", "http", "port", 80)}
	}
	return ports
}

// containerPorts returns a port for each of the containers.
func (r *rollout) containerPorts() (ports []*yaml.Node) {
	for _, container := range items(get(r.workload.root, "spec", "template", "spec", "containers")) {
		for _, port := range items(get(container, "ports")) {
			value, ok := number(get(port, "containerPort"))
			if !ok {
				continue
			}
			added := mapping("name", cmp.Or(text(get(port, "name")), fmt.Sprintf("port-%d", value)), "port", value, "targetPort", value)
			if protocol := text(get(port, "protocol")); protocol != "" {
				set(added, "protocol", protocol)
			}
			ports = append(ports, added)
		}
	}
	return ports
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
	port, _ := number(get(ports[0], "port")) // lint says what is wrong with another one
	return port
}
