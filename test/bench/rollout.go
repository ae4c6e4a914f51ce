// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// rollout has the fields of a CanaryRollout that all versions have. The API type of one version cannot be used for the
// objects of another.
type rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Status rolloutStatus `json:"status"`
}

type rolloutStatus struct {
	ObservedGeneration int64  `json:"observedGeneration"`
	State              string `json:"state"`
	Step               string `json:"step"`
	Images             string `json:"images"`
}

type rolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []rollout `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (r *rollout) DeepCopyObject() runtime.Object {
	return &rollout{TypeMeta: r.TypeMeta, ObjectMeta: *r.ObjectMeta.DeepCopy(), Status: r.Status}
}

// DeepCopyObject implements runtime.Object.
func (l *rolloutList) DeepCopyObject() runtime.Object {
	return &rolloutList{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy(), Items: slices.Clone(l.Items)}
}

func addRollouts(s *runtime.Scheme) {
	version := schema.GroupVersion{Group: "canaryrollout.dev", Version: "v1alpha1"}
	s.AddKnownTypeWithName(version.WithKind("CanaryRollout"), &rollout{})
	s.AddKnownTypeWithName(version.WithKind("CanaryRolloutList"), &rolloutList{})
	metav1.AddToGroupVersion(s, version)
}

const (
	fleetNamespace = "fleet"
	calmNamespace  = "calm"
	// pauses is how many pauses the one rollout of the calm namespace has, each after a weight of five percent more.
	pauses = 19
)

// workload is a format for namespace, name and steps. Its parent is the gateway of this program.
const workload = builder.Services + `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  parentRefs: [{name: ` + gatewayName + `, namespace: ` + cluster.GatewayNamespace + `}]
  hostnames: [%[2]s.%[1]s.example.com]
  rules:
  - backendRefs:
    - {name: %[2]s-stable, port: 9080}
    - {name: %[2]s-canary, port: 9080}
---
apiVersion: canaryrollout.dev/v1alpha1
kind: CanaryRollout
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 1
  scaleDownDelaySeconds: 0
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: "` + firstImage + `", ports: [{name: http, containerPort: 9080}]}]
  traffic:
    stableService: %[2]s-stable
    canaryService: %[2]s-canary
    settleSeconds: 0
    routes: [{kind: HTTPRoute, name: %[2]s}]
  steps: [%[3]s]
`

const firstImage = "example/app:0"

// fleetWorkload returns a workload with ten weights.
func fleetWorkload(name string) []byte {
	var steps []string
	for weight := 10; weight <= 100; weight += 10 {
		steps = append(steps, fmt.Sprintf("{setWeight: %d}", weight))
	}
	return fmt.Appendf(nil, workload, fleetNamespace, name, strings.Join(steps, ", "))
}

// calmWorkload returns a workload that pauses after each weight.
func calmWorkload(name string) []byte {
	var steps []string
	for pause := range pauses {
		steps = append(steps, fmt.Sprintf("{setWeight: %d}, {pause: {}}", weightAt(pause+1)))
	}
	return fmt.Appendf(nil, workload, calmNamespace, name, strings.Join(steps, ", "))
}

// weightAt returns the weight of the calm rollout at one of its pauses, counted from 1.
func weightAt(pause int) int32 { return int32(5 * pause) }

// stepAt returns the step of the calm rollout at one of its pauses, as in its status.
func stepAt(pause int) string { return fmt.Sprintf("%d/%d", 2*pause, 2*pauses) }

func (r *rollout) isHealthy() bool {
	return r.Status.State == "Healthy" && r.Status.ObservedGeneration == r.Generation
}

// isPausedAt reports whether the calm rollout waits at a pause, and has no command left to carry out.
func (r *rollout) isPausedAt(pause int) bool {
	return r.Status.State == "Paused" && r.Status.Step == stepAt(pause) && r.hasNoCommand()
}

func (r *rollout) hasNoCommand() bool {
	commands := []string{v1alpha1.PromoteAnnotation, v1alpha1.AbortAnnotation, v1alpha1.RetryAnnotation}
	return !slices.ContainsFunc(commands, func(name string) bool {
		_, given := r.Annotations[name]
		return given
	})
}
