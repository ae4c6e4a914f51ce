// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"cmp"
	"fmt"
	"strings"
)

// argoRollout converts a Rollout.
func (c *converter) argoRollout(o *object) {
	r := &rollout{object: o, c: c, spec: mapping(), workload: o}
	c.drop(o)
	if ref := o.at("spec", "workloadRef"); ref.isSet() {
		if r.workload = r.findWorkload(ref); r.workload == nil {
			return
		}
	}
	if !r.workload.at("spec", "template").isSet() {
		o.fail("spec.template", "there is no pod template", "add it")
		return
	}
	if strategy := o.at("spec", "strategy"); strategy.child("canary").isSet() == strategy.child("blueGreen").isSet() {
		strategy.failed("it must have either canary or blueGreen", "add one of them")
		return
	}
	argoSpec.walk(r, o.at("spec"))
	r.finish()
	c.redirect(r, "Rollout", o.name)
}

// findWorkload returns the object that a workloadRef names. It is left out of the result: its pods become those of the rollout.
func (r *rollout) findWorkload(ref field) *object {
	kind, name := text(get(ref.value, "kind")), text(get(ref.value, "name"))
	workload := r.c.find(kind, r.namespace, name)
	if workload == nil || kind != "Deployment" && kind != "ReplicaSet" {
		ref.failed(fmt.Sprintf("the pod template is in %s %s, which is not in these files", kind, name),
			"add the Deployment or the ReplicaSet to the files: its template becomes that of the CanaryRollout")
		return nil
	}
	r.c.drop(workload)
	workload.note("", fmt.Sprintf("its pod template is in CanaryRollout %s now, and its other fields have no effect on a Rollout", r.name),
		"delete it when the move is over")
	r.c.redirect(r, kind, name)
	return workload
}

var argoSpec = table[*rollout]{
	carried: map[string]func(*rollout, field){
		"replicas": (*rollout).keep, "template": (*rollout).keep, "minReadySeconds": (*rollout).keep,
		"progressDeadlineSeconds": (*rollout).keep, "progressDeadlineAbort": (*rollout).keep, "paused": (*rollout).keep,
		"revisionHistoryLimit": (*rollout).keepLimit, "selector": (*rollout).keepSelector,
		"workloadRef": (*rollout).fromWorkload, "strategy": (*rollout).argoStrategy,
	},
	dropped: map[string]verdict{
		"restartAt":      lost("pods are not restarted at a time", "change an annotation of the template: that releases the same image"),
		"rollbackWindow": lost("a release of an older version takes all its steps", "skip them: kubectl canary promote --full"),
		"analysis":       unneeded("runs of an analysis are no objects here, so none have to be deleted"),
	},
}

// fromWorkload takes template and selector from the workload.
func (r *rollout) fromWorkload(f field) {
	table[*rollout]{
		carried: map[string]func(*rollout, field){"apiVersion": (*rollout).read, "kind": (*rollout).read, "name": (*rollout).read},
		dropped: map[string]verdict{"scaleDown": lost("the workload is not scaled down", "scale it down when the rollout is Ready")},
	}.walk(r, f)
	if selector := r.workload.at("spec", "selector"); selector.isSet() && !r.at("spec", "selector").isSet() {
		r.keepSelector(selector)
	}
	template := r.workload.at("spec", "template")
	template.key.HeadComment = f.key.HeadComment
	r.keep(template)
}

func (r *rollout) argoStrategy(f field) {
	table[*rollout]{carried: map[string]func(*rollout, field){
		"canary": (*rollout).argoCanary, "blueGreen": (*rollout).argoBlueGreen,
	}}.walk(r, f)
	r.putTraffic(f)
	r.putSteps(f)
}

func (r *rollout) argoCanary(f field) {
	r.nameServices(f, "stableService", "canaryService")
	routing := f.child("trafficRouting")
	r.orMatches = routing.child("istio").isSet()
	r.ignoresMirrors = routing.child("plugins").isSet()
	if r.maxWeight, _ = number(routing.child("maxTrafficWeight").value); r.maxWeight < 1 {
		r.maxWeight = 100 // the default; argoMaxWeight reports what cannot be read
	}
	argoCanary.walk(r, f)
	if len(r.routes) == 0 {
		r.router = "the number of pods"
		r.propose(routing)
	}
}

var argoCanary = table[*rollout]{
	carried: map[string]func(*rollout, field){
		"stableService": (*rollout).read, "canaryService": (*rollout).read, "scaleDownDelaySeconds": (*rollout).keep,
		"trafficRouting": (*rollout).argoRouting, "plugins": (*rollout).argoMisplaced,
		"steps": (*rollout).argoSteps, "analysis": (*rollout).argoBackground,
	},
	dropped: map[string]verdict{
		"maxSurge":                    unneeded("the canary has the pods that its steps ask for, in addition to all stable ones"),
		"maxUnavailable":              unneeded("stable keeps all its pods until the traffic has left them"),
		"dynamicStableScale":          lost("stable keeps all its pods during a release", "make room for them: a rollback does not wait for pods then"),
		"minPodsPerReplicaSet":        lost("the canary has the pods that its steps ask for", "begin with setCanaryScale: {replicas: ...}, which is a minimum"),
		"replicaProgressThreshold":    lost("a step waits for all pods that it asks for", "ask for fewer by setCanaryScale"),
		"pingPong":                    lost("there is one stable and one canary Service", "name them in spec.traffic: a Service moves only while it carries no traffic"),
		"abortScaleDownDelaySeconds":  lostAbortDelay,
		"antiAffinity":                lostAntiAffinity,
		"canaryMetadata":              lostRoleMetadata,
		"stableMetadata":              lostRoleMetadata,
		"scaleDownDelayRevisionLimit": lostRevisionLimit,
	},
}

// What canary and blue-green have in common.
var (
	lostAbortDelay = lost("after an abort, pods are kept for scaleDownDelaySeconds, as after a promotion",
		"raise scaleDownDelaySeconds if that is too short")
	lostAntiAffinity = lost("pods of two revisions may run on one node",
		"add podAntiAffinity with mismatchLabelKeys: [pod-template-hash] to the template")
	lostRoleMetadata = lost("pods get no labels or annotations by their role",
		"tell them apart by pod-template-hash: status.stable.revision and status.canary.revision name its values")
	lostRevisionLimit = lost("every revision that had traffic keeps its pods for scaleDownDelaySeconds", "lower scaleDownDelaySeconds")
)

// argoMisplaced reads plugins that are not below trafficRouting, where examples often have them.
func (r *rollout) argoMisplaced(f field) {
	f.unneeded("Argo Rollouts reads plugins below trafficRouting; they are converted as if they were there", "")
	r.argoPlugins(f)
}

var argoRouting = func() table[*rollout] {
	t := table[*rollout]{
		carried: map[string]func(*rollout, field){"plugins": (*rollout).argoPlugins, "maxTrafficWeight": (*rollout).argoMaxWeight},
		dropped: map[string]verdict{"managedRoutes": unneeded("a header route is placed before the rule that it copies")},
	}
	for name, words := range map[string]string{
		"istio": "Istio", "nginx": "NGINX", "alb": "the AWS load balancer", "smi": "SMI", "ambassador": "Ambassador", "appMesh": "App Mesh",
		"traefik": "Traefik", "apisix": "APISIX",
	} {
		t.carried[name] = func(r *rollout, f field) { r.otherRouter(f, words) }
	}
	return t
}()

func (r *rollout) argoRouting(f field) { argoRouting.walk(r, f) }

func (r *rollout) otherRouter(f field, words string) {
	r.router = words
	r.propose(f)
}

func (r *rollout) argoMaxWeight(f field) {
	switch most, ok := number(f.value); {
	case !ok || most < 1:
		f.lost("it is not a positive number, so weights are read as percentages", "check the steps")
	case most != 100:
		f.unneeded("weights are percentages, so those of the steps are converted", "")
	}
}

func (r *rollout) argoPlugins(f field) {
	for _, plugin := range f.children() {
		if plugin.key.Value != "argoproj-labs/gatewayAPI" {
			r.otherRouter(plugin, "the plugin "+plugin.key.Value)
			continue
		}
		gatewayPlugin.walk(r, plugin)
		if len(r.routes) == 0 {
			r.router = "routes that are found by labels"
			r.propose(plugin)
		}
	}
}

var gatewayPlugin = func() table[*rollout] {
	label := unneeded("no label is written into routes")
	t := table[*rollout]{
		carried: map[string]func(*rollout, field){"namespace": (*rollout).routeNamespace},
		dropped: map[string]verdict{"disableInProgressLabel": label, "inProgressLabelKey": label, "inProgressLabelValue": label},
	}
	for _, kind := range []string{"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"} {
		name := strings.ToLower(strings.TrimSuffix(kind, "Route")) + "Route"
		item := pluginRoute(kind)
		t.carried[name] = func(r *rollout, f field) { r.useRoute(f, kind, text(f.value)) }
		t.carried[name+"s"] = func(r *rollout, f field) {
			for _, route := range f.items() {
				item.walk(r, route)
			}
		}
		t.dropped[name+"Selector"] = lost("routes are not found by labels", "name each of them in spec.traffic.routes")
	}
	return t
}()

// pluginRoute is an item of a list of routes.
func pluginRoute(kind string) table[*rollout] {
	return table[*rollout]{
		carried: map[string]func(*rollout, field){
			"name":      func(r *rollout, f field) { r.useRoute(f, kind, text(f.value)) },
			"namespace": (*rollout).routeNamespace,
		},
		dropped: map[string]verdict{"useHeaderRoutes": unneeded("header rules are added to every route that is named")},
	}
}

func (r *rollout) routeNamespace(f field) {
	switch namespace := text(f.value); r.namespace {
	case namespace:
		f.unneeded("routes are in the namespace of the rollout", "")
	case "":
		f.unneeded("routes are in the namespace of the rollout", "apply the files to namespace "+namespace)
	default:
		f.lost(fmt.Sprintf("routes must be in the namespace of the rollout, %s", r.namespace), "move the route, or the rollout with its Services")
	}
}

// weight converts a weight to a percentage.
func (r *rollout) weight(f field) int {
	value, ok := number(f.value)
	if !ok {
		f.lost("it is not a number", "correct it")
		return 0
	}
	most := cmp.Or(r.maxWeight, 100)
	percent := (value*100 + most/2) / most
	if percent*most != value*100 {
		f.lost(fmt.Sprintf("weights are percentages: %d of %d becomes %d", value, most, percent), "choose a weight that is a percentage")
	}
	return percent
}
