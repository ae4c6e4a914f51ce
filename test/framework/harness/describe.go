// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Describe returns a text of the complete state of a rollout and its objects, without names and times that differ
// between runs: two runs with the same result have the same description.
func (a *App) Describe() string {
	a.t.Helper()
	var text strings.Builder
	rollouts := &v1alpha1.CanaryRolloutList{}
	a.list(rollouts)
	for i := range rollouts.Items {
		describeRollout(&text, &rollouts.Items[i])
	}
	sets := &appsv1.ReplicaSetList{}
	a.list(sets)
	for _, set := range sets.Items {
		fmt.Fprintf(&text, "ReplicaSet %s: %d pods of %s, %d owners\n", set.Name, *set.Spec.Replicas,
			set.Spec.Template.Spec.Containers[0].Image, len(set.OwnerReferences))
	}
	services := &corev1.ServiceList{}
	a.list(services)
	for _, service := range services.Items {
		fmt.Fprintf(&text, "Service %s: %v\n", service.Name, service.Spec.Selector)
	}
	spec, err := json.MarshalIndent(a.Route().Object["spec"], "", " ")
	if err != nil {
		a.t.Fatal(err)
	}
	fmt.Fprintf(&text, "HTTPRoute: %s\n", spec)
	return strings.ReplaceAll(text.String(), a.Namespace, "NAMESPACE")
}

func describeRollout(text *strings.Builder, rollout *v1alpha1.CanaryRollout) {
	s := rollout.Status
	fmt.Fprintf(text, "%s step %q weight %q revision %s, %d draining, command %v\n", s.State, s.Step, s.Weight, s.Revision,
		len(s.Memory.Draining), s.Memory.Command)
	for _, entry := range s.History {
		fmt.Fprintf(text, "revision %s: %s %s\n", entry.Revision, entry.Outcome, entry.Message)
	}
	fmt.Fprintf(text, "annotations %v, finalizers %v\n", rollout.Annotations, rollout.Finalizers)
}

func (a *App) list(into client.ObjectList) {
	a.t.Helper()
	if err := a.env.Admin.List(a.t.Context(), into, client.InNamespace(a.Namespace)); err != nil {
		a.t.Fatal(err)
	}
}
