// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// checkExpressions finds regular expressions that no gateway can compile.
func checkExpressions(rollout Rollout) (found []Finding) {
	for i, step := range rollout.Spec.Steps {
		if step.SetHeaderRoute == nil {
			continue
		}
		if err := route.CheckExpressions(*step.SetHeaderRoute); err != nil {
			found = append(found, rollout.place.find(Error, IDExpression, fmt.Sprintf("spec.steps[%d].setHeaderRoute.%s", i, err.Path), err.Message))
		}
	}
	return found
}

// checkPorts checks that the two Services have the ports that a route names.
func (m *Manifests) checkPorts(rollout Rollout, obj *object, pair route.Pair) (found []Finding) {
	stable, canary := route.Ports(obj.Unstructured, pair)
	for _, side := range []struct {
		service string
		wanted  []int32
	}{{pair.Stable, stable}, {pair.Canary, canary}} {
		service, _ := m.find(rollout, m.services, "", "Service", side.service)
		if service == nil {
			continue // reported at the field that names it
		}
		ports := portsOf(service)
		for _, wanted := range unique(side.wanted) {
			if !slices.ContainsFunc(ports, func(p corev1.ServicePort) bool { return p.Port == wanted }) {
				found = append(found, service.find(Error, IDServicePort, "spec.ports", fmt.Sprintf(
					"Service %s has no port %d, which %s %s sends requests to", side.service, wanted, obj.GetKind(), obj.GetName())))
			}
		}
	}
	return found
}

// checkTargetPorts checks that the pods have the named ports that a Service targets. Numbers are not checked: pods may
// listen on ports that their template does not list.
func checkTargetPorts(rollout Rollout, service *object) (found []Finding) {
	pod := podOf(rollout)
	for i, port := range portsOf(service) {
		if name := port.TargetPort.StrVal; name != "" && !hasPort(pod, name, port.Protocol) {
			found = append(found, service.find(Error, IDTargetPort, fmt.Sprintf("spec.ports[%d].targetPort", i), fmt.Sprintf(
				"no container of the template of %s has a port named %s for %s: endpoints of Service %s would lack it, and requests fail",
				rollout.Name, name, protocolOf(port.Protocol), service.GetName())))
		}
	}
	return found
}

// hasPort looks up a named port like the endpoints controller: in containers and in restartable init containers.
func hasPort(pod corev1.PodSpec, name string, protocol corev1.Protocol) bool {
	serves := func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool {
			return p.Name == name && protocolOf(p.Protocol) == protocolOf(protocol)
		})
	}
	return slices.ContainsFunc(pod.Containers, serves) || slices.ContainsFunc(pod.InitContainers, func(c corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && serves(c)
	})
}

func protocolOf(protocol corev1.Protocol) corev1.Protocol {
	if protocol == "" {
		return corev1.ProtocolTCP
	}
	return protocol
}

// portsOf returns the ports of a Service, or nil if they cannot be read, which the API server reports.
func portsOf(service *object) []corev1.ServicePort {
	typed := &corev1.Service{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(map[string]any{"spec": map[string]any{"ports": portsField(service)}}, typed); err != nil {
		return nil
	}
	return typed.Spec.Ports
}

func portsField(service *object) any {
	ports, _, _ := unstructured.NestedFieldNoCopy(service.Object, "spec", "ports")
	return ports
}

// podOf returns the pod spec of a rollout, whose template has already been decoded without errors.
func podOf(rollout Rollout) corev1.PodSpec {
	template := &corev1.PodTemplateSpec{}
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(revision.Template(rollout.place.Unstructured), template)
	return template.Spec
}

func unique(ports []int32) []int32 {
	sorted := slices.Sorted(slices.Values(ports))
	return slices.Compact(sorted)
}
