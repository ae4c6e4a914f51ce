// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
)

// flaggerCanary converts a Canary and its Deployment. The Services and the route get new names: Flagger owns those that it has
// created, and they are deleted with the Canary.
func (c *converter) flaggerCanary(o *object) {
	r := &rollout{object: o, c: c, spec: mapping()}
	c.drop(o)
	target := o.at("spec", "targetRef")
	kind, name := text(get(target.value, "kind")), text(get(target.value, "name"))
	if kind == "Deployment" {
		r.workload = c.find(kind, o.namespace, name)
	}
	if r.workload == nil || !r.workload.at("spec", "template").isSet() {
		target.failed(fmt.Sprintf("the pod template is in %s %s, which is not in these files", kind, name),
			"add the Deployment to the files: its template becomes that of the CanaryRollout. Workloads of other kinds cannot be released")
		return
	}
	r.apex = cmp.Or(text(get(o.root, "spec", "service", "name")), name)
	r.stable, r.canary = r.apex+"-rollout-stable", r.apex+"-rollout-canary"
	flaggerSpec.walk(r, o.at("spec"))
	if len(r.routes) == 0 {
		o.fail("spec.service", "there is no service, so there is no traffic to shift", "add it")
		return
	}
	r.putSteps(o.at("spec", "analysis"))
	r.finish()
	c.redirect(r, kind, name)
}

var flaggerSpec = func() table[*rollout] {
	other := lost("only the Gateway API is supported", "use the route that is proposed")
	return table[*rollout]{
		carried: map[string]func(*rollout, field){
			"targetRef": (*rollout).flaggerTarget, "autoscalerRef": (*rollout).flaggerScaler, "progressDeadlineSeconds": (*rollout).keep,
			"suspend": (*rollout).flaggerSuspend, "skipAnalysis": (*rollout).flaggerSkip, "provider": (*rollout).read,
			"service": (*rollout).flaggerService, "analysis": (*rollout).flaggerAnalysis, "canaryAnalysis": (*rollout).flaggerAnalysis,
		},
		dropped: map[string]verdict{
			"metricsServer":    lost("the administrator names the server of metrics", "name it as a provider: "+providersFile),
			"revertOnDeletion": lost("deleting a rollout deletes its pods, as with a Deployment", "delete it with --cascade=orphan to keep the stable pods"),
			"ingressRef":       other, "routeRef": other, "upstreamRef": other,
		},
	}
}()

// flaggerTarget takes the spec of the Deployment.
func (r *rollout) flaggerTarget(f field) {
	table[*rollout]{
		carried: map[string]func(*rollout, field){"apiVersion": (*rollout).read, "kind": (*rollout).read, "name": (*rollout).read},
		dropped: map[string]verdict{"namespace": unneeded("everything is in the namespace of the rollout")},
	}.walk(r, f)
	r.c.drop(r.workload)
	r.workload.expectVersion("v1")
	r.workload.note("metadata", fmt.Sprintf("the Deployment becomes CanaryRollout %s, with the metadata of the Canary", r.name), "")
	if status := r.workload.at("status"); status.isSet() {
		status.unneeded("the status is that of the cluster, and is not converted", "")
	}
	t := table[*rollout]{
		carried: map[string]func(*rollout, field){
			"replicas": (*rollout).keep, "template": (*rollout).keep, "minReadySeconds": (*rollout).keep, "paused": (*rollout).keep,
			"progressDeadlineSeconds": (*rollout).keep, "revisionHistoryLimit": (*rollout).keepLimit, "selector": (*rollout).keepSelector,
		},
		dropped: map[string]verdict{"strategy": unneeded("the steps of the rollout replace it")},
	}
	for name, override := range map[string]string{"progressDeadlineSeconds": "progressDeadlineSeconds", "paused": "suspend"} {
		if r.at("spec", override).isSet() {
			delete(t.carried, name)
			t.dropped[name] = unneeded(override + " of the Canary applies")
		}
	}
	t.walk(r, r.workload.at("spec"))
}

func (r *rollout) flaggerSuspend(f field) {
	set(r.spec, "paused", isTrue(f.value))
	f.unneeded("it becomes paused: if it is true, steps and promotion wait, and routes are still restored", "")
}

func (r *rollout) flaggerSkip(f field) {
	if isTrue(f.value) {
		f.lost("the rollout has no steps, so a new version is promoted as soon as its pods are available", "add steps to release it step by step")
		return
	}
	f.unneeded("false is the default", "")
}

func (r *rollout) flaggerScaler(f field) {
	kind, name := text(get(f.value, "kind")), text(get(f.value, "name"))
	if r.c.find(kind, r.namespace, name) != nil {
		f.unneeded("the autoscaler is pointed to the CanaryRollout", "")
	} else {
		f.lost(fmt.Sprintf("%s %s is not in these files", kind, name), "let its scaleTargetRef name CanaryRollout "+r.name)
	}
	copied := lost("there is one autoscaler, without a copy for the stable pods", "write it into the autoscaler")
	table[*rollout]{
		carried: map[string]func(*rollout, field){
			"apiVersion": (*rollout).read, "kind": (*rollout).read, "name": (*rollout).read, "namespace": (*rollout).read,
		},
		dropped: map[string]verdict{"primaryScalerQueries": copied, "primaryScalerReplicas": copied},
	}.walk(r, f)
}
