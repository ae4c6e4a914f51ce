// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// flaggerAnalysis is what spec.analysis of a Canary becomes.
type flaggerAnalysis struct {
	field
	r *rollout
	// interval is the time between two checks, and threshold the number of failed ones that end the release.
	interval  time.Duration
	threshold int
	// iterations is the number of checks without a change of the weight; 0 shifts the weight.
	iterations int
	// step and most are the increment and the last weight. Without an increment, weights are the weights.
	step, most int
	weights    []int
	// mirror is the percentage of requests that are copied; 0 is none.
	mirror           int
	matches, metrics []*yaml.Node
	// Pauses take the place of webhooks: before the first step, before each weight, and before the promotion.
	pausesFirst, pausesAtWeights, pausesLast bool
}

func (r *rollout) flaggerAnalysis(f field) {
	switch {
	case isTrue(get(r.root, "spec", "skipAnalysis")):
		f.unneeded("skipAnalysis is true, so it has no effect", "")
		return
	case f.key.Value == "canaryAnalysis" && r.at("spec", "analysis").isSet():
		f.unneeded("analysis replaces it", "")
		return
	}
	a := &flaggerAnalysis{field: f, r: r, interval: time.Minute, threshold: 1, most: 100}
	a.readNumbers()
	a.readMirror()
	flaggerAnalysisFields.walk(a, f)
	a.addSteps()
}

// readNumbers reads what metrics and steps need.
func (a *flaggerAnalysis) readNumbers() {
	const shortest = 10 * time.Second // of Flagger
	if interval, err := time.ParseDuration(text(get(a.value, "interval"))); err == nil {
		a.interval = max(interval, shortest)
	}
	for name, target := range map[string]*int{
		"threshold": &a.threshold, "iterations": &a.iterations, "stepWeight": &a.step, "maxWeight": &a.most,
	} {
		if value, ok := number(get(a.value, name)); ok && value > 0 {
			*target = value
		}
	}
	for _, weight := range items(get(a.value, "stepWeights")) {
		if value, ok := number(weight); ok && value > 0 {
			a.weights = append(a.weights, min(value, 100))
		}
	}
	if len(a.weights) > 0 {
		a.most = a.weights[len(a.weights)-1]
	}
}

// readMirror reads the mirror. Flagger copies requests only in an analysis with iterations and without match.
func (a *flaggerAnalysis) readMirror() {
	if !isTrue(get(a.value, "mirror")) || a.iterations == 0 || a.hasMatches() {
		return
	}
	a.mirror = 100
	if percent, ok := number(get(a.value, "mirrorWeight")); ok {
		a.mirror = percent
	}
}

func (a *flaggerAnalysis) hasMatches() bool { return len(items(get(a.value, "match"))) > 0 }

var flaggerAnalysisFields = func() table[*flaggerAnalysis] {
	ready := lost("a step waits for all pods that it asks for", "ask for fewer by setCanaryScale")
	return table[*flaggerAnalysis]{
		carried: map[string]func(*flaggerAnalysis, field){
			"interval": (*flaggerAnalysis).checkInterval, "threshold": (*flaggerAnalysis).checkThreshold,
			"iterations": (*flaggerAnalysis).checkNumber, "stepWeight": (*flaggerAnalysis).checkWeight,
			"maxWeight": (*flaggerAnalysis).checkWeight, "stepWeights": (*flaggerAnalysis).checkWeights,
			"mirror": (*flaggerAnalysis).checkMirror, "mirrorWeight": (*flaggerAnalysis).checkMirror,
			"match":   func(a *flaggerAnalysis, f field) { a.matches = requestMatches(f) },
			"metrics": (*flaggerAnalysis).addMetrics, "webhooks": (*flaggerAnalysis).addWebhooks,
		},
		dropped: map[string]verdict{
			"stepWeightPromotion":   lost("after the last step, all traffic moves to the new version at once", "add more weights to the steps"),
			"primaryReadyThreshold": ready, "canaryReadyThreshold": ready,
			"sessionAffinity": lost("clients do not stay with one revision", "use session persistence of the gateway, or a header route"),
			"alerts":          lostNotifications,
		},
	}
}()

func (a *flaggerAnalysis) checkInterval(f field) {
	given := text(f.value)
	if parsed, err := time.ParseDuration(given); err != nil || parsed != a.interval {
		f.lost(fmt.Sprintf("the interval %q becomes %s", given, plan.Duration(a.interval)), "change the pauses and the interval of the metrics")
	}
}

func (a *flaggerAnalysis) checkNumber(f field) {
	switch value, ok := number(f.value); {
	case ok && value == 0:
		f.unneeded("0 is the default", "")
	case !ok || value < 0:
		f.lost("it is not a positive number, so the default applies", "correct it")
	}
}

func (a *flaggerAnalysis) checkThreshold(f field) {
	a.checkNumber(f)
	f.unneeded("failureLimit of each metric is one less; Flagger counts the failures of all metrics together", "")
}

func (a *flaggerAnalysis) checkWeight(f field) {
	switch {
	case a.iterations > 0 || a.hasMatches():
		f.unneeded("an analysis with iterations or match shifts no weight", "")
	case f.key.Value == "maxWeight" && len(a.weights) > 0:
		f.unneeded("the last of stepWeights replaces it", "")
	default:
		a.checkNumber(f)
	}
}

func (a *flaggerAnalysis) checkWeights(f field) {
	switch {
	case a.iterations > 0 || a.hasMatches():
		f.unneeded("an analysis with iterations or match shifts no weight", "")
	case a.step > 0:
		f.unneeded("stepWeight replaces it, up to the last of these weights", "")
	case len(a.weights) < len(items(f.value)):
		f.lost("some weights are not positive numbers", "correct them")
	}
}

func (a *flaggerAnalysis) checkMirror(f field) {
	if a.mirror == 0 {
		f.unneeded("requests are only copied in an analysis with iterations and without match", "add setMirrorRoute to the steps to copy them")
	}
}

// addWebhooks puts pauses in the place of gates. Other webhooks have no counterpart.
func (a *flaggerAnalysis) addWebhooks(f field) {
	const atPause = "promote or abort the release at the pause in its place: kubectl canary promote"
	for _, hook := range f.items() {
		switch kind := text(get(hook.value, "type")); kind {
		case "confirm-rollout":
			a.pausesFirst = true
			hook.lost("a person confirms, not a webhook", atPause)
		case "pre-rollout":
			a.pausesFirst = true
			hook.lost("no webhook tests the canary before its traffic", "test it at the pause in its place, or by a metric with a Job in an analysis step")
		case "confirm-traffic-increase":
			a.pausesAtWeights, a.pausesFirst = true, a.pausesFirst || a.iterations > 0 || a.hasMatches()
			hook.lost("a person confirms, not a webhook", atPause)
		case "confirm-promotion":
			a.pausesLast = true
			hook.lost("a person confirms, not a webhook", atPause)
		case "rollout", "":
			hook.lost("no webhook is called at each interval", "start load tests by themselves, and write checks as a metric of the kind web or job")
		case "rollback":
			hook.lost("no webhook is asked whether to roll back", "call kubectl canary abort, or write a metric of the kind web")
		default:
			hook.lost("no webhook is called for "+kind, "use the Events that docs/operations.md lists")
		}
	}
}

// addSteps adds the steps of the strategy that the fields imply: requests that match, iterations, or weights.
func (a *flaggerAnalysis) addSteps() {
	if a.pausesFirst {
		a.r.gate("webhooks before the rollout")
	}
	switch {
	case a.hasMatches() || a.iterations > 0:
		a.addIterations()
	default:
		a.addWeights()
	}
	if a.pausesLast {
		a.r.gate("webhooks before the promotion")
	}
}

// addIterations holds the weight, while some requests or copies of requests reach a canary of full size.
func (a *flaggerAnalysis) addIterations() {
	a.r.step("setCanaryScale", mapping("weight", 100))
	if matches := a.withoutPaths(); len(matches) > 0 {
		a.r.step("setHeaderRoute", mapping("name", "ab-test", "matches", sequence(matches...)))
	}
	if a.mirror > 0 {
		a.r.step("setMirrorRoute", mapping("percent", a.mirror))
	}
	a.hold(time.Duration(max(a.iterations, 1)) * a.interval)
}

// withoutPaths returns the matches of a header route, which has the paths of the rules that it copies.
func (a *flaggerAnalysis) withoutPaths() (matches []*yaml.Node) {
	for i, match := range a.matches {
		if get(match, "path") != nil {
			a.child("match").lost(fmt.Sprintf("the path of entry %d is left out", i), "the header route has the paths of the rules that it copies")
			remove(match, "path")
		}
		if len(match.Content) > 0 {
			matches = append(matches, match)
		}
	}
	return matches
}

// hold waits for the metrics, or for a time if there are none.
func (a *flaggerAnalysis) hold(duration time.Duration) {
	if len(a.metrics) == 0 {
		a.r.step("pause", pauseOf(plan.Duration(duration)))
		return
	}
	const slack = 10 * time.Minute // for the window, and for answers without data
	a.r.step("analysis", mapping("duration", plan.Duration(2*duration+slack), "metrics", sequence(a.metrics...)))
}

// addWeights adds a step for each weight. The last one waits for a verdict of the metrics: Flagger does not promote without one.
func (a *flaggerAnalysis) addWeights() {
	weights := a.allWeights()
	if len(weights) == 0 {
		a.lost("there is neither stepWeight, nor stepWeights, nor iterations, so no traffic is shifted before the promotion", "add steps")
	}
	for i, weight := range weights {
		if a.pausesAtWeights {
			a.r.gate("webhooks before a weight")
		}
		a.r.step("setWeight", weight)
		switch {
		case i == len(weights)-1:
			a.hold(a.interval)
		case !a.pausesAtWeights:
			a.r.step("pause", pauseOf(plan.Duration(a.interval)))
		}
	}
	a.r.metrics = a.metrics
}

// allWeights returns the weights, and leaves some out if there are too many for the steps.
func (a *flaggerAnalysis) allWeights() []int {
	weights := a.weights
	if a.step > 0 {
		weights = nil
		for weight := a.step; weight < min(a.most, 100)+a.step; weight += a.step {
			weights = append(weights, min(weight, 100))
		}
	}
	const most = (maxSteps - 4) / 2 // each takes two steps; there can be a pause at both ends, and the last weight waits for metrics
	if len(weights) <= most {
		return weights
	}
	var kept []int
	every := (len(weights) + most - 1) / most
	for i, weight := range weights {
		if (i+1)%every == 0 || i == len(weights)-1 {
			kept = append(kept, weight)
		}
	}
	a.child("stepWeight").lost(fmt.Sprintf("%d weights do not fit into %d steps, so %d are left out", len(weights), maxSteps, len(weights)-len(kept)),
		"check the steps")
	return kept
}
