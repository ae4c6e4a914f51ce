// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// The limits of the API.
const (
	// maxNameLength is that of the name of a CanaryRollout: the names of its pods begin with it.
	maxNameLength = 46
	maxSteps      = 64
	// maxMetrics is for each analysis.
	maxMetrics   = 8
	maxRevisions = 100
)

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
	// apex is the Service of Flagger in front of both. It goes away with the Canary.
	apex string
	// router is what shifted the traffic, in words, if it is not the Gateway API.
	router string
	routes []*yaml.Node
	// stepsKey is the name of the steps in the input, with its comments.
	stepsKey *yaml.Node
	steps    []*yaml.Node
	// metrics are those of spec.analysis.
	metrics []*yaml.Node
	// extra are new objects that follow the rollout.
	extra []*yaml.Node
	// maxWeight is the weight that is all traffic in the input.
	maxWeight int
	// orMatches says that the entries of a header route are alternatives.
	orMatches bool
	// ignoresMirrors says that the router of the input does nothing for a mirror.
	ignoresMirrors bool
}

func (r *rollout) keep(f field) { keep(r.spec, f) }

// read is for a field that has been read before.
func (r *rollout) read(field) {}

// keepLimit carries a limit over, and lowers it to the maximum of the API.
func (r *rollout) keepLimit(f field) {
	if limit, ok := number(f.value); ok && limit > maxRevisions {
		f.lost(fmt.Sprintf("at most %d ReplicaSets without pods are kept", maxRevisions), "roll back to older versions by their manifests")
		f.value = scalar(maxRevisions)
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

// putTraffic adds the traffic in the place of the strategy.
func (r *rollout) putTraffic(place field) {
	key := nameNode("traffic")
	key.HeadComment = place.key.HeadComment
	traffic := mapping("stableService", r.stable, "canaryService", r.canary, "routes", sequence(r.routes...))
	r.spec.Content = append(r.spec.Content, key, traffic)
}

// putSteps adds the steps and the analysis of the background.
func (r *rollout) putSteps(place field) {
	if len(r.steps) > 0 {
		key := r.stepsKey
		if key == nil {
			key = nameNode("steps")
		}
		r.spec.Content = append(r.spec.Content, key, sequence(r.steps...))
	}
	if len(r.metrics) > 0 {
		set(r.spec, "analysis", mapping("metrics", sequence(r.metrics...)))
	}
	place.limit(len(r.steps), maxSteps, "steps")
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

// gate adds a pause for what has no counterpart. A release must not continue without what was checked there.
func (r *rollout) gate(what string) {
	r.step("pause", pauseOf(""))
	r.steps[len(r.steps)-1].HeadComment = fmt.Sprintf("# In the place of %s: promote or abort here.", what)
}

// pauseOf returns a pause. Without a duration it lasts until it is promoted.
func pauseOf(duration string) *yaml.Node {
	if duration == "" {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle}
	}
	return mapping("duration", duration)
}

// metadata returns that of a new object.
func (r *rollout) metadata(name string) *yaml.Node {
	result := mapping("name", name)
	if r.namespace != "" {
		set(result, "namespace", r.namespace)
	}
	return result
}
