// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxNameLength is that of the name of a CanaryRollout: the names of its pods begin with it.
const maxNameLength = 46

// rollout is a CanaryRollout under construction.
type rollout struct {
	// object is the Rollout or Canary that is converted.
	*object
	c    *converter
	spec *yaml.Node
	// workload is the object that has the pod template: the Rollout itself, or a Deployment.
	workload *object
	// stable and canary are the names of the Services.
	stable, canary string
	// apex is the Service of Flagger in front of both, which is not there any more.
	apex string
	// router is the traffic router in words, if it is not the Gateway API.
	router string
	routes []*yaml.Node
	steps  []*yaml.Node
	// metrics are those of spec.analysis.
	metrics []*yaml.Node
	// extra are new objects that follow the rollout.
	extra []*yaml.Node
	// orMatches says that the entries of a header route are alternatives.
	orMatches bool
	// maxWeight is the weight that all traffic is in the input.
	maxWeight int
}

func (r *rollout) keep(f field) { keep(r.spec, f) }

// keepLimit carries a limit over, and lowers it to the maximum of the API.
func (r *rollout) keepLimit(f field) {
	const most = 100
	if limit, ok := number(f.value); ok && limit > most {
		f.lost(fmt.Sprintf("at most %d ReplicaSets without pods are kept", most), "roll back to older versions by their manifests")
		f.value = scalar(most)
	}
	r.keep(f)
}

// keepSelector carries the labels over: a selector has no expressions here.
func (r *rollout) keepSelector(f field) {
	kept := mapping()
	table[*yaml.Node]{
		carried: map[string]func(*yaml.Node, field){"matchLabels": keep},
		dropped: map[string]verdict{"matchExpressions": lost(
			"a selector has labels only, so this is left out", "give the pods a label of their own, and select it by matchLabels")},
	}.walk(kept, f)
	if len(kept.Content) == 0 {
		f.failed("the selector has no matchLabels", "select the pods by labels")
	}
	r.spec.Content = append(r.spec.Content, f.key, kept)
}

// labels returns the labels that select the pods.
func (r *rollout) labels() *yaml.Node {
	for _, o := range []*object{r.object, r.workload} {
		if o == nil {
			continue
		}
		if labels := get(o.root, "spec", "selector", "matchLabels"); labels != nil {
			return labels
		}
	}
	return mapping()
}

// putTraffic adds traffic, steps and analysis in the place of the strategy.
func (r *rollout) putTraffic(strategy field) {
	traffic := mapping("stableService", r.stable, "canaryService", r.canary, "routes", sequence(r.routes...))
	key := scalar("traffic")
	key.HeadComment = strategy.key.HeadComment
	r.spec.Content = append(r.spec.Content, key, traffic)
	if len(r.steps) > 0 {
		set(r.spec, "steps", sequence(r.steps...))
	}
	if len(r.metrics) > 0 {
		set(r.spec, "analysis", mapping("metrics", sequence(r.metrics...)))
	}
	if r.exceeds(strategy, len(r.steps), 64, "steps") || r.exceeds(strategy, len(r.metrics), 8, "metrics") {
		return
	}
}

func (r *rollout) exceeds(f field, count, most int, what string) bool {
	if count <= most {
		return false
	}
	f.failed(fmt.Sprintf("it needs %d %s, and there can be %d at most", count, what, most), "remove some")
	return true
}

// finish puts the rollout and its new objects in the place of the object.
func (r *rollout) finish() {
	if len(r.name) > maxNameLength {
		r.fail("metadata.name", fmt.Sprintf("the name is longer than %d characters", maxNameLength), "choose a shorter one: the names of pods begin with it")
	}
	r.c.replace(r.object, append([]*yaml.Node{rebuild(r.object, "CanaryRollout", r.spec)}, r.extra...)...)
}

// step adds a step.
func (r *rollout) step(name string, value any) { r.steps = append(r.steps, mapping(name, value)) }

// comment says above the last step where it comes from.
func (r *rollout) comment(text string) { r.steps[len(r.steps)-1].HeadComment = "# " + text }

// useService looks at a Service that the object names. It stays as it is, without the marks of the other tool.
func (r *rollout) useService(f field, name string) {
	service := r.c.find("Service", r.namespace, name)
	if service == nil {
		f.unneeded(fmt.Sprintf("Service %s is not in these files: it stays as it is", name), "")
		return
	}
	unmark(service.at("spec", "selector"), "rollouts-pod-template-hash")
	unmark(service.at("metadata", "annotations"), "argo-rollouts.argoproj.io/managed-by-rollouts")
}

// unmark removes what another tool has added to a mapping.
func unmark(f field, name string) {
	if mark := f.child(name); mark.value != nil {
		mark.unneeded("the other tool has set this, so it is removed", "")
		remove(f.value, name)
	}
}

// newService adds a Service of the given ports.
func (r *rollout) newService(name string, ports []*yaml.Node) {
	r.extra = append(r.extra, mapping(
		"apiVersion", "v1", "kind", "Service", "metadata", r.metadata(name),
		"spec", mapping("selector", r.labels(), "ports", sequence(ports...)),
	))
}

// metadata returns that of a new object.
func (r *rollout) metadata(name string) *yaml.Node {
	result := mapping("name", name)
	if r.namespace != "" {
		set(result, "namespace", r.namespace)
	}
	return result
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
			selects = selects && (text(get(pod, label.key.Value)) == text(label.value) || label.key.Value == "rollouts-pod-template-hash")
		}
		if selects {
			found = append(found, o)
		}
	}
	return found
}

// ports returns the ports for a new Service: those of a Service that selects the pods, or those of the containers.
func (r *rollout) ports() []*yaml.Node {
	for _, service := range r.services() {
		if ports := items(get(service.root, "spec", "ports")); len(ports) > 0 {
			return ports
		}
	}
	var ports []*yaml.Node
	for _, container := range items(get(r.workload.root, "spec", "template", "spec", "containers")) {
		for _, port := range items(get(container, "ports")) {
			value, ok := number(get(port, "containerPort"))
			if !ok {
				continue
			}
			name := cmp.Or(text(get(port, "name")), fmt.Sprintf("port-%d", value))
			added := mapping("name", name, "port", value, "targetPort", value)
			if protocol := text(get(port, "protocol")); protocol != "" {
				set(added, "protocol", protocol)
			}
			ports = append(ports, added)
		}
	}
	if len(ports) == 0 {
		ports = []*yaml.Node{mapping("name", "http", "port", 80)}
	}
	return ports
}
