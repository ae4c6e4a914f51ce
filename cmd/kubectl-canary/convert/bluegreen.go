// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import "fmt"

// argoBlueGreen turns a switch into steps: a canary of full size that gets no requests, a pause or an analysis, and all traffic.
func (r *rollout) argoBlueGreen(f field) {
	r.nameServices(f, "activeService", "previewService")
	argoBlueGreen.walk(r, f)
	for _, o := range r.c.objects {
		if o.kind == "HTTPRoute" && isSame(o.namespace, r.namespace) && r.weigh(o) {
			r.routes = append(r.routes, mapping("kind", "HTTPRoute", "name", o.name))
		}
	}
	if len(r.routes) == 0 {
		r.router = "the selector of a Service"
		r.propose(f.child("activeService"))
	}
	r.blueGreenSteps(f)
	f.unneeded(fmt.Sprintf("the preview is the canary Service, %s", r.canary), "to show it to some clients by a header, add setHeaderRoute before the pause")
	r.putTraffic(field{f.object, f.object.at("spec", "strategy").key, f.value, f.path})
}

func (r *rollout) blueGreenSteps(f field) {
	scale := mapping("weight", 100)
	if preview := get(f.value, "previewReplicaCount"); preview != nil {
		scale = mapping("replicas", preview)
	}
	r.step("setCanaryScale", scale)
	if f.child("prePromotionAnalysis").value != nil {
		r.analysisStep(f.child("prePromotionAnalysis"))
	}
	after := f.child("autoPromotionSeconds")
	switch automatic := f.child("autoPromotionEnabled"); {
	case automatic.value != nil && !isTrue(automatic.value):
		r.step("pause", pauseOf(""))
		if after.value != nil {
			after.lost("the pause lasts until it is promoted, because autoPromotionEnabled is false",
				"to promote after a time, write pause: {timeout: ..., onTimeout: Promote}")
		}
	case after.value != nil:
		if duration := durationOf(after); duration != "" {
			r.step("pause", pauseOf(duration))
		}
	}
	r.step("setWeight", 100)
	if f.child("postPromotionAnalysis").value != nil {
		r.analysisStep(f.child("postPromotionAnalysis"))
	}
}

// argoBlueGreen says what becomes of the fields of a blue-green strategy. Those of its steps are read by blueGreenSteps.
var argoBlueGreen = table[*rollout]{
	carried: map[string]func(*rollout, field){
		"activeService": read, "previewService": read, "previewReplicaCount": read, "autoPromotionEnabled": read,
		"autoPromotionSeconds": read, "prePromotionAnalysis": read, "postPromotionAnalysis": read,
		"scaleDownDelaySeconds": (*rollout).keep, "abortScaleDownDelaySeconds": (*rollout).argoAbortDelay,
	},
	dropped: map[string]verdict{
		"maxUnavailable":              unneeded("stable keeps all its pods until the traffic has left them"),
		"scaleDownDelayRevisionLimit": lost("every revision that had traffic keeps its pods for scaleDownDelaySeconds", "lower scaleDownDelaySeconds"),
		"antiAffinity":                lostAntiAffinity,
		"activeMetadata":              lostRoleMetadata,
		"previewMetadata":             lostRoleMetadata,
	},
}
