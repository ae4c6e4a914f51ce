// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Acceptance is what the implementations report about a route (T4).
type Acceptance struct {
	// Generation is the newest generation that every parent is known to have accepted without complaint; 0 if a
	// parent has not reported or complains, or if none names a generation.
	Generation int64
	// Refused is the newest generation that a parent is known to refuse because of the route itself; 0 if there is
	// none. A complaint about the parent or a backend does not count.
	Refused int64
	// Unversioned reports whether every parent accepts the route, but at least one does not say which generation.
	Unversioned bool
	// Pending lists, parent by parent, what is missing until the newest generation is known to be accepted.
	Pending string
	// Ignored names the controllers whose entries do not count, each with its parent.
	Ignored string
	// Orphaned reports whether neither the spec nor the status of the route names a parent: nothing can serve it.
	Orphaned bool
}

// parents is the part of a route that T4 is about. It is the same for all kinds of routes.
type parents struct {
	Spec   gatewayv1.CommonRouteSpec `json:"spec"`
	Status gatewayv1.RouteStatus     `json:"status"`
}

// ControllerOf returns the controller name of a Gateway's class; empty if it is not known.
type ControllerOf func(gateway types.NamespacedName) string

// Accepted reads the route's status (T4): each parent must have reported, and all statuses that count must agree.
// Entries for other parents are ignored: implementations leave old ones behind. controllerOf is only called if several
// controllers report for one Gateway.
func Accepted(obj *unstructured.Unstructured, controllerOf ControllerOf) Acceptance {
	var route parents
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &route); err != nil {
		return Acceptance{Pending: fmt.Sprintf("%s cannot be read: %v", labelOf(obj), err)}
	}
	required := route.required(obj.GetNamespace())
	if len(required) == 0 {
		return Acceptance{Orphaned: true, Pending: labelOf(obj) +
			" has no parentRefs, and its status names no parent, so nothing serves it: attach it to a Gateway, or to the route that delegates to it"}
	}
	var statuses, ignored []parentStatus
	for _, parent := range required {
		counted, others := route.statusesFor(parent, obj.GetNamespace(), controllerOf)
		statuses, ignored = append(statuses, counted...), append(ignored, others...)
	}
	all := sum(statuses, obj.GetGeneration())
	all.Ignored = controllers(ignored)
	return all
}

// required returns the parents that must report: those in the spec. If the spec leaves parents to others (a route
// that delegates to this one, or default Gateways), those in the status are added.
func (r *parents) required(namespace string) []parent {
	var required []parent
	for _, ref := range r.Spec.ParentRefs {
		required = append(required, parentOf(ref, namespace))
	}
	if len(required) > 0 && r.Spec.UseDefaultGateways == "" {
		return required
	}
	for _, entry := range r.Status.Parents {
		if p := parentOf(entry.ParentRef, namespace); !slices.Contains(required, p) {
			required = append(required, p)
		}
	}
	return required
}

// Gateways returns the parents of a route that are Gateways; none if they cannot be read.
func Gateways(obj *unstructured.Unstructured) []types.NamespacedName {
	var route parents
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &route); err != nil {
		return nil
	}
	var gateways []types.NamespacedName
	for _, ref := range route.Spec.ParentRefs {
		if p := parentOf(ref, obj.GetNamespace()); p.isGateway() {
			gateways = append(gateways, p.key())
		}
	}
	return gateways
}

// sum combines the statuses; the worst one decides.
func sum(statuses []parentStatus, newest int64) Acceptance {
	var all Acceptance
	var pending []string
	complains := false
	for _, a := range statuses {
		if message := a.pending(newest); message != "" {
			pending = append(pending, message)
		}
		complains = complains || a.complaint != ""
		all.Refused = max(all.Refused, a.refused)
		all.Unversioned = all.Unversioned || a.unversioned
		if a.generation > 0 && (all.Generation == 0 || a.generation < all.Generation) {
			all.Generation = a.generation
		}
	}
	if complains {
		all = Acceptance{Refused: all.Refused}
	}
	all.Pending = strings.Join(pending, "; ")
	return all
}

// parent is a ParentReference with its defaults filled in, so that two can be compared.
type parent struct {
	group, kind, namespace, name, section string
	port                                  gatewayv1.PortNumber
}

func parentOf(ref gatewayv1.ParentReference, namespace string) parent {
	return parent{
		group:     string(ptr.Deref(ref.Group, gatewayv1.GroupName)),
		kind:      string(ptr.Deref(ref.Kind, "Gateway")),
		namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(namespace))),
		name:      string(ref.Name),
		section:   string(ptr.Deref(ref.SectionName, "")),
		port:      ptr.Deref(ref.Port, 0),
	}
}

func (p parent) isGateway() bool { return p.group == gatewayv1.GroupName && p.kind == "Gateway" }

func (p parent) key() types.NamespacedName {
	return types.NamespacedName{Namespace: p.namespace, Name: p.name}
}

// label names the parent in messages, with its namespace only if it differs from the route's.
func (p parent) label(home string) string {
	label := p.kind + " " + p.name
	if p.namespace != home {
		label = p.kind + " " + p.namespace + "/" + p.name
	}
	if p.section != "" {
		label += " section " + p.section
	}
	if p.port != 0 {
		label += fmt.Sprintf(" port %d", p.port)
	}
	return label
}
