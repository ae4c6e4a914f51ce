// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Acceptance is what the implementations say about a route (T4).
type Acceptance struct {
	// Generation is the newest that every parent is known to have taken without complaint; 0 when one has not
	// answered or complains, and when no answer says which generation it is about.
	Generation int64
	// Unversioned says that every parent accepts the route, but at least one does not say which generation.
	Unversioned bool
	// Pending says, parent by parent, what is missing until the newest generation is known to be accepted.
	Pending string
}

// parents is the part of a route that T4 is about. It is the same for all kinds of routes.
type parents struct {
	Spec   gatewayv1.CommonRouteSpec `json:"spec"`
	Status gatewayv1.RouteStatus     `json:"status"`
}

// Accepted reads the route's status (T4): each parent that spec.parentRefs asks for must have answered, and all who
// answered for it must agree. Answers for other parents do not count: implementations leave old ones behind.
func Accepted(obj *unstructured.Unstructured) Acceptance {
	var route parents
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &route); err != nil {
		return Acceptance{Pending: fmt.Sprintf("%s cannot be read: %v", labelOf(obj), err)}
	}
	if len(route.Spec.ParentRefs) == 0 {
		return Acceptance{Pending: labelOf(obj) + " has no parentRefs, so nothing serves it: attach it to a Gateway"}
	}
	var answers []answer
	for _, ref := range route.Spec.ParentRefs {
		answers = append(answers, answersFor(parentOf(ref, obj.GetNamespace()), route.Status.Parents, obj.GetNamespace())...)
	}
	return sum(answers, obj.GetGeneration())
}

// Gateways are the parents of a route that are Gateways; none when they cannot be read.
func Gateways(obj *unstructured.Unstructured) []types.NamespacedName {
	var route parents
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &route); err != nil {
		return nil
	}
	var gateways []types.NamespacedName
	for _, ref := range route.Spec.ParentRefs {
		if p := parentOf(ref, obj.GetNamespace()); p.group == gatewayv1.GroupName && p.kind == "Gateway" {
			gateways = append(gateways, types.NamespacedName{Namespace: p.namespace, Name: p.name})
		}
	}
	return gateways
}

// sum takes the worst of all answers.
func sum(answers []answer, newest int64) Acceptance {
	var all Acceptance
	var pending []string
	refused := false
	for _, a := range answers {
		if message := a.pending(newest); message != "" {
			pending = append(pending, message)
		}
		refused = refused || a.complaint != ""
		all.Unversioned = all.Unversioned || a.unversioned
		if a.generation > 0 && (all.Generation == 0 || a.generation < all.Generation) {
			all.Generation = a.generation
		}
	}
	if refused {
		all = Acceptance{}
	}
	all.Pending = strings.Join(pending, "; ")
	return all
}

// parent is a ParentReference with its defaults filled in, so that two of them can be compared.
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

// label names the parent in messages; its namespace only where it is not the route's.
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
