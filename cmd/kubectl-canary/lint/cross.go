// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/controllers/route"
	"github.com/canaryrollout/canaryrollout/controllers/selector"
)

// Check compares the rollouts with the other objects, and looks for risks in their forecast releases. It also checks what metrics
// contain.
func (m *Manifests) Check() []Finding {
	found := []Finding{}
	for _, metric := range m.Metrics {
		found = append(found, checkMetric(metric)...)
	}
	for i, rollout := range m.Rollouts {
		found = append(found, checkExpressions(rollout)...)
		found = append(found, m.checkConflicts(rollout, m.Rollouts[:i])...)
		found = append(found, m.checkService(rollout, "stableService", rollout.Spec.Traffic.StableService)...)
		found = append(found, m.checkService(rollout, "canaryService", rollout.Spec.Traffic.CanaryService)...)
		for j, reference := range rollout.Spec.Traffic.Routes {
			found = append(found, m.checkRoute(rollout, reference, fmt.Sprintf("spec.traffic.routes[%d]", j))...)
		}
		found = append(found, m.checkAnalysis(rollout)...)
		for _, warning := range forecast.Release(rollout.CanaryRollout, forecast.Options{Metric: m.Metric(rollout)}).Warnings {
			found = append(found, rollout.place.find(Warning, warning.ID, warning.Path, warning.Message))
		}
	}
	return found
}

// checkConflicts finds rollouts with the same name, or that share a Service.
func (m *Manifests) checkConflicts(rollout Rollout, others []Rollout) (found []Finding) {
	for _, other := range others {
		if !isSame(rollout.Namespace, other.Namespace) {
			continue
		}
		at := fmt.Sprintf("%s:%d", other.place.file, other.place.document)
		if rollout.Name != "" && rollout.Name == other.Name {
			found = append(found, rollout.place.find(Error, IDDuplicate, "metadata.name", fmt.Sprintf(
				"CanaryRollout %s is also in %s: rename one of them", rollout.Name, at)))
			continue
		}
		for _, service := range shared(rollout.Spec.Traffic, other.Spec.Traffic) {
			found = append(found, rollout.place.find(Error, v1alpha1.ReasonServiceConflict, "spec.traffic", fmt.Sprintf(
				"Service %s is also used by CanaryRollout %s in %s: name another Service", service, other.Name, at)))
		}
	}
	return found
}

func shared(a, b v1alpha1.Traffic) (services []string) {
	for _, service := range []string{a.StableService, a.CanaryService} {
		if service == b.StableService || service == b.CanaryService {
			services = append(services, service)
		}
	}
	return services
}

func (m *Manifests) checkService(rollout Rollout, field, name string) []Finding {
	path := "spec.traffic." + field
	service, found := m.find(rollout, m.services, path, "Service", name)
	if service == nil {
		return found
	}
	if kind, _, _ := unstructured.NestedString(service.Object, "spec", "type"); kind == string(corev1.ServiceTypeExternalName) {
		return append(found, service.find(Error, IDExternalName, "spec.type", fmt.Sprintf(
			"Service %s is an ExternalName, which selects no pods: remove type and externalName", name)))
	}
	found = append(found, checkTargetPorts(rollout, service)...)
	labels, _, err := unstructured.NestedStringMap(service.Object, "spec", "selector")
	if err != nil {
		return append(found, service.find(Error, IDInvalid, "spec.selector", "a selector has names and values: "+err.Error()))
	}
	if problem := selector.CheckTemplate(name, labels, revision.PodLabels(revision.Template(rollout.place.Unstructured))); problem != nil {
		found = append(found, service.find(Error, problem.Reason, "spec.selector", problem.Message))
	}
	return found
}

func (m *Manifests) checkRoute(rollout Rollout, reference v1alpha1.RouteReference, path string) []Finding {
	obj, found := m.find(rollout, m.routes, path, reference.Kind, reference.Name)
	if obj == nil {
		return found
	}
	if parents, _, _ := unstructured.NestedSlice(obj.Object, "spec", "parentRefs"); len(parents) == 0 {
		found = append(found, obj.find(Warning, IDNoGateway, "spec.parentRefs", fmt.Sprintf(
			"%s %s has no parentRefs, so a weight is verified only if another route delegates to it: otherwise name a Gateway in parentRefs",
			reference.Kind, reference.Name)))
	}
	pair := route.Pair{
		Rollout: rollout.Name, Namespace: cmp.Or(rollout.Namespace, obj.GetNamespace()),
		Stable: rollout.Spec.Traffic.StableService, Canary: rollout.Spec.Traffic.CanaryService,
		RuleNames: reference.RuleNames,
	}
	if pair.Namespace == "" {
		if pair.Namespace = route.NamespaceOf(obj.Unstructured, pair); pair.Namespace != "" {
			found = append(found, obj.find(Note, IDNamespace, "spec.rules", fmt.Sprintf(
				"the backendRefs name namespace %s, so these files must be applied to it: -n %s checks them for it", pair.Namespace, pair.Namespace)))
		}
		pair.Namespace = cmp.Or(pair.Namespace, metav1.NamespaceDefault)
	}
	found = append(found, m.checkPorts(rollout, obj, pair)...)
	reading := route.Read(obj.Unstructured, pair, nil)
	if reading.Problem != nil {
		return append(found, obj.find(Error, reading.Problem.Reason, cmp.Or(reading.Problem.Path, "spec.rules"), reading.Problem.Message))
	}
	observed := plan.Route{Kind: reference.Kind, Name: reference.Name, Total: reading.Total}
	if problem := plan.WeightProblem(observed, rollout.Spec.Steps); problem != nil {
		found = append(found, obj.find(Error, problem.Reason, "spec.rules", problem.Message))
	}
	if problem := reading.MirrorProblem; problem != nil && plan.Mirrors(rollout.Spec.Steps) {
		found = append(found, obj.find(Error, problem.Reason, cmp.Or(problem.Path, "spec.rules"), problem.Message))
	}
	return append(found, checkHeaderRoutes(rollout, obj, pair)...)
}

// checkHeaderRoutes checks each setHeaderRoute together with the header routes that are in effect at that step.
func checkHeaderRoutes(rollout Rollout, obj *object, pair route.Pair) []Finding {
	inForce := map[string]v1alpha1.SetHeaderRoute{}
	var names []string
	for i, step := range rollout.Spec.Steps {
		if step.SetHeaderRoute == nil {
			continue
		}
		if _, known := inForce[step.SetHeaderRoute.Name]; !known {
			names = append(names, step.SetHeaderRoute.Name)
		}
		inForce[step.SetHeaderRoute.Name] = *step.SetHeaderRoute
		var headerRoutes []v1alpha1.SetHeaderRoute
		for _, name := range names {
			headerRoutes = append(headerRoutes, inForce[name])
		}
		// checkExpressions reports invalid expressions, even if the routes are not in the files.
		if problem := route.Read(obj.Unstructured, pair, headerRoutes).Problem; problem != nil && problem.Reason != v1alpha1.ReasonInvalidRegularExpression {
			path := fmt.Sprintf("spec.steps[%d].setHeaderRoute", i)
			return []Finding{rollout.place.find(Error, problem.Reason, path, problem.Message)}
		}
	}
	return nil
}

// find looks up an object by name. An object without a namespace will get that of the command that applies it.
func (m *Manifests) find(rollout Rollout, objects []object, path, kind, name string) (*object, []Finding) {
	var elsewhere *object
	for i := range objects {
		switch o := &objects[i]; {
		case o.GetName() != name, o.GetKind() != kind:
		case isSame(o.GetNamespace(), rollout.Namespace):
			return o, nil
		default:
			elsewhere = o
		}
	}
	if elsewhere != nil {
		return nil, []Finding{rollout.place.find(Error, IDNamespace, path, fmt.Sprintf(
			"%s %s is in namespace %s, and the rollout in %s: Services, routes and rollout must be in one namespace",
			kind, name, elsewhere.GetNamespace(), rollout.Namespace))}
	}
	return nil, []Finding{rollout.place.find(Note, IDUnchecked, path, fmt.Sprintf(
		"%s %s is not in these files: not checked", kind, name))}
}

func isSame(namespace, other string) bool {
	return namespace == other || namespace == "" || other == ""
}
