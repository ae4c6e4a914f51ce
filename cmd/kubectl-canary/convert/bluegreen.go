// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import "fmt"

// argoBlueGreen turns a switch into steps: a canary of full size that gets no requests, an analysis or a pause, and all traffic.
func (r *rollout) argoBlueGreen(f field) {
	r.nameServices(f, "activeService", "previewService")
	argoBlueGreen.walk(r, f)
	for _, o := range r.c.objects {
		if o.kind == "HTTPRoute" && isSame(o.namespace, r.namespace) && r.addCanary(o) {
			r.useRoute(f.child("activeService"), o.kind, o.name)
		}
	}
	if len(r.routes) == 0 {
		r.router = "the selector of a Service"
		r.propose(f.child("activeService"))
	}
	f.child("previewService").unneeded(fmt.Sprintf("the preview is the canary Service, %s", r.canary),
		"to show it to some clients by a header, add setHeaderRoute before the pause")
	r.blueGreenSteps(f)
}

func (r *rollout) blueGreenSteps(f field) {
	scale := mapping("weight", 100)
	if preview := f.child("previewReplicaCount"); preview.isSet() {
		scale = mapping("replicas", preview.value)
	}
	r.step("setCanaryScale", scale)
	if before := f.child("prePromotionAnalysis"); before.isSet() {
		r.analysisStep(before)
	}
	r.blueGreenPause(f.child("autoPromotionEnabled"), f.child("autoPromotionSeconds"))
	r.step("setWeight", 100)
	if after := f.child("postPromotionAnalysis"); after.isSet() {
		r.analysisStep(after)
	}
}

// blueGreenPause adds the pause before the switch, if there is one.
func (r *rollout) blueGreenPause(automatic, after field) {
	if automatic.isSet() && !isTrue(automatic.value) {
		r.step("pause", pauseOf(""))
		if after.isSet() {
			after.lost("the pause lasts until it is promoted, because autoPromotionEnabled is false",
				"to promote after a time, write pause: {timeout: ..., onTimeout: Promote}")
		}
		return
	}
	if !after.isSet() {
		return
	}
	if duration := durationOf(after); duration != "" {
		r.step("pause", pauseOf(duration))
	}
}

// argoBlueGreen says what becomes of the fields of a blue-green strategy. Those of its steps are read by blueGreenSteps.
var argoBlueGreen = table[*rollout]{
	carried: map[string]func(*rollout, field){
		"activeService": (*rollout).read, "previewService": (*rollout).read, "previewReplicaCount": (*rollout).read,
		"autoPromotionEnabled": (*rollout).read, "autoPromotionSeconds": (*rollout).read, "prePromotionAnalysis": (*rollout).read,
		"postPromotionAnalysis": (*rollout).read, "scaleDownDelaySeconds": (*rollout).keep,
	},
	dropped: map[string]verdict{
		"maxUnavailable":              unneeded("stable keeps all its pods until the traffic has left them"),
		"abortScaleDownDelaySeconds":  lostAbortDelay,
		"scaleDownDelayRevisionLimit": lostRevisionLimit,
		"antiAffinity":                lostAntiAffinity,
		"activeMetadata":              lostRoleMetadata,
		"previewMetadata":             lostRoleMetadata,
	},
}
