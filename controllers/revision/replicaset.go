// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// ReplicaSetKind is the kind of object that runs a revision.
var ReplicaSetKind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// Identity identifies the ReplicaSet to render.
type Identity struct {
	// Revision is its pod-template-hash, Hash the hash of the raw template.
	Revision, Hash string
	// Replicas is its size.
	Replicas int32
}

// Render builds the ReplicaSet for the template of a raw rollout. It works on raw objects, so that fields of the pod
// template that our types do not know still reach the pods.
func Render(rollout *unstructured.Unstructured, id Identity) *unstructured.Unstructured {
	template, labels := revisionTemplate(rollout, id.Revision)
	replicaSet := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"replicas":        int64(id.Replicas),
		"minReadySeconds": minReadySeconds(rollout),
		"selector":        map[string]any{"matchLabels": selector(rollout, id.Revision)},
		"template":        template,
	}}}
	replicaSet.SetGroupVersionKind(ReplicaSetKind)
	replicaSet.SetNamespace(rollout.GetNamespace())
	replicaSet.SetName(ReplicaSetName(rollout.GetName(), id.Revision))
	labels[v1alpha1.RolloutLabel] = rollout.GetName()
	replicaSet.SetLabels(labels)
	replicaSet.SetAnnotations(map[string]string{v1alpha1.TemplateHashAnnotation: id.Hash})
	replicaSet.SetOwnerReferences([]metav1.OwnerReference{Owner(rollout)})
	return replicaSet
}

// Owner returns the controller reference to a rollout.
func Owner(rollout metav1.Object) metav1.OwnerReference {
	return *metav1.NewControllerRef(rollout, v1alpha1.GroupVersion.WithKind("CanaryRollout"))
}

// revisionTemplate copies the template and adds the hash label. It also returns the template's labels.
func revisionTemplate(rollout *unstructured.Unstructured, revision string) (map[string]any, map[string]string) {
	template := runtime.DeepCopyJSON(Template(rollout))
	if template == nil {
		template = map[string]any{} // the API server reports what is missing
	}
	labels := PodLabels(template)
	labels[v1alpha1.RevisionLabel] = revision
	// It fails only if metadata is not an object, which the schema of a rollout rules out.
	_ = unstructured.SetNestedStringMap(template, labels, "metadata", "labels")
	return template, labels
}

func selector(rollout *unstructured.Unstructured, revision string) map[string]any {
	labels, _, _ := unstructured.NestedStringMap(rollout.Object, "spec", "selector", "matchLabels")
	matchLabels := map[string]any{v1alpha1.RevisionLabel: revision}
	for key, value := range labels {
		matchLabels[key] = value
	}
	return matchLabels
}

func minReadySeconds(rollout *unstructured.Unstructured) int64 {
	seconds, _, _ := unstructured.NestedInt64(rollout.Object, "spec", "minReadySeconds")
	return seconds
}
