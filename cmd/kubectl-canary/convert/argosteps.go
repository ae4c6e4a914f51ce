// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

func (r *rollout) argoSteps(f field) {
	r.stepsKey = f.key
	for _, step := range f.items() {
		before := len(r.steps)
		argoStep.walk(r, step)
		if len(r.steps) > before {
			moveComments(step.value, r.steps[before])
		}
	}
}

// moveComments keeps the comments of a step.
func moveComments(from, to *yaml.Node) {
	to.HeadComment = cmp.Or(from.HeadComment, to.HeadComment)
	to.FootComment = cmp.Or(from.FootComment, to.FootComment)
	for i := range min(len(from.Content), len(to.Content), 2) { // the name and the value of the step
		given, kept := from.Content[i], to.Content[i]
		if given.Kind != kept.Kind {
			continue // a comment behind a scalar has no place behind a mapping
		}
		kept.HeadComment = cmp.Or(kept.HeadComment, given.HeadComment)
		kept.LineComment = cmp.Or(kept.LineComment, given.LineComment)
		kept.FootComment = cmp.Or(kept.FootComment, given.FootComment)
	}
}

var argoStep = table[*rollout]{carried: map[string]func(*rollout, field){
	"setWeight":      func(r *rollout, f field) { r.step("setWeight", r.weight(f)) },
	"pause":          (*rollout).argoPause,
	"setCanaryScale": (*rollout).argoScale,
	"setHeaderRoute": (*rollout).argoHeaderRoute,
	"setMirrorRoute": (*rollout).argoMirror,
	"analysis":       (*rollout).analysisStep,
	"experiment":     func(r *rollout, f field) { r.loseStep(f, "there are no experiments") },
	"plugin":         func(r *rollout, f field) { r.loseStep(f, "there are no plugins for steps") },
}}

// loseStep puts a pause in the place of a step.
func (r *rollout) loseStep(f field, message string) {
	f.lost(message+": the step becomes a pause", "promote or abort the release at the pause, or replace it with an analysis step")
	r.gate(f.key.Value)
}

func (r *rollout) argoPause(f field) {
	duration := ""
	table[*rollout]{carried: map[string]func(*rollout, field){
		"duration": func(_ *rollout, f field) { duration = durationOf(f) },
	}}.walk(r, f)
	if given := f.child("duration"); given.isSet() && duration == "" && isZero(text(given.value)) {
		return
	}
	r.step("pause", pauseOf(duration))
}

// isZero reports whether a duration has no length.
func isZero(value string) bool {
	parsed, err := time.ParseDuration(value)
	return err == nil && parsed <= 0
}

// durationOf returns a duration, which is a number of seconds or has units. It reports one that it cannot convert, and one of no
// length, and returns nothing for them.
func durationOf(f field) string {
	value := text(f.value)
	if count, ok := number(f.value); ok && count != 0 {
		value = fmt.Sprintf("%ds", count)
	}
	parsed, err := time.ParseDuration(value)
	switch {
	case err != nil:
		f.lost(fmt.Sprintf("%q is not a duration", value), "write it with a unit, for example 10s")
		return ""
	case parsed <= 0:
		f.unneeded("a duration of zero has no effect, so it is left out", "")
		return ""
	case wellFormed.MatchString(value):
		return value
	default:
		return plan.Duration(parsed)
	}
}

// wellFormed are the durations that the API accepts.
var wellFormed = regexp.MustCompile(`^([0-9]{1,5}([.][0-9]{1,3})?(ms|s|m|h)){1,4}$`)

func (r *rollout) argoScale(f field) {
	scale := mapping()
	table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
		"replicas": keep, "weight": keep, "matchTrafficWeight": keepTrue,
	}}.walk(scale, f)
	if len(scale.Content) == 0 {
		return
	}
	if get(scale, "matchTrafficWeight") == nil {
		f.unneeded("it is a minimum here: a later weight adds the pods that it needs", "add mode: Exact to pin the size, as Argo Rollouts does")
	}
	r.step("setCanaryScale", scale)
}

func keepTrue(target *yaml.Node, f field) {
	if !isTrue(f.value) {
		f.unneeded("only true has an effect, so it is left out", "")
		return
	}
	keep(target, f)
}

func (r *rollout) argoHeaderRoute(f field) {
	var name string
	var matches []*yaml.Node
	table[*rollout]{carried: map[string]func(*rollout, field){
		"name":  func(_ *rollout, f field) { name = routeName(f) },
		"match": func(r *rollout, f field) { matches = r.headerMatches(f) },
	}}.walk(r, f)
	if len(matches) == 0 && !r.hasHeaderRoute(name) {
		f.unneeded("no earlier step creates this header route, so there is nothing to remove", "")
		return
	}
	route := mapping("name", name)
	if len(matches) > 0 {
		set(route, "matches", sequence(matches...))
	}
	r.step("setHeaderRoute", route)
}

func (r *rollout) hasHeaderRoute(name string) bool {
	for _, step := range r.steps {
		if route := get(step, "setHeaderRoute"); text(get(route, "name")) == name && get(route, "matches") != nil {
			return true
		}
	}
	return false
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// routeName returns the name of a header route in lower case letters, digits and dashes.
func routeName(f field) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text(f.value)), "-"), "-")
	if name != text(f.value) {
		f.unneeded("a header route has a name of lower case letters, digits and dashes: it is "+name, "")
	}
	return name
}

// headerMatches converts the matches of a header route. The Gateway API plugin requires all of them, Istio one of them.
func (r *rollout) headerMatches(f field) (matches []*yaml.Node) {
	var headers []*yaml.Node
	for _, match := range f.items() {
		header := mapping()
		table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
			"headerName":  func(header *yaml.Node, f field) { set(header, "name", f.value) },
			"headerValue": stringMatch.walk,
		}}.walk(header, match)
		headers = append(headers, header)
	}
	if !r.orMatches && len(headers) > 0 {
		return []*yaml.Node{mapping("headers", sequence(headers...))}
	}
	for _, header := range headers {
		matches = append(matches, mapping("headers", sequence(header)))
	}
	return matches
}

// stringMatch converts a match of a text to that of a header or a query parameter.
var stringMatch = table[*yaml.Node]{carried: map[string]func(*yaml.Node, field){
	"exact": func(match *yaml.Node, f field) { setMatch(match, "Exact", text(f.value)) },
	"regex": func(match *yaml.Node, f field) { setMatch(match, "RegularExpression", text(f.value)) },
	"prefix": func(match *yaml.Node, f field) {
		f.unneeded("a prefix becomes a regular expression", "check that the gateway supports regular expressions")
		setMatch(match, "RegularExpression", regexp.QuoteMeta(text(f.value))+".*")
	},
}}

func setMatch(match *yaml.Node, kind, value string) {
	set(match, "type", kind)
	set(match, "value", value)
}

func (r *rollout) argoMirror(f field) {
	percent := 100 // the default of Argo Rollouts
	table[*rollout]{
		carried: map[string]func(*rollout, field){
			"percentage": func(_ *rollout, f field) { percent, _ = number(f.value) }, // the API rejects what is no number
		},
		dropped: map[string]verdict{
			"name":  unneeded("there is only one mirror, without a name"),
			"match": lost("the requests that the weights apply to are copied, whatever they contain", "remove the step if others must not be copied"),
		},
	}.walk(r, f)
	if len(items(get(f.value, "match"))) == 0 {
		percent = 0
		f.unneeded("without a match, the mirror ends", "")
	}
	r.step("setMirrorRoute", mapping("percent", percent))
	if percent > 0 && r.ignoresMirrors {
		f.lost("the Gateway API plugin does nothing for this step, and here requests are copied", "remove the step if the canary must not get copies")
	}
}
