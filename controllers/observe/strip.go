// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// digestField is where StripReplicaSet puts the digest of the template. The API has no such field.
const digestField = "templateDigest"

// The fields of a ReplicaSet that StripReplicaSet keeps, in the part of the object before the colon.
var keptOfReplicaSet = map[string][]string{
	"metadata": {
		"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "labels", "annotations", "ownerReferences",
	},
	"spec":   {"replicas", "minReadySeconds", "template"},
	"status": {"observedGeneration", "replicas", "readyReplicas", "availableReplicas", "conditions"},
}

// StripReplicaSet is a cache transform that keeps what Observer reads of a ReplicaSet. Most of it is the template. A rollout has a
// ReplicaSet for each revision in its history, so templates would take most of the memory. Of a template it keeps the labels, the
// images, whether there are readiness gates, and a digest, by which the revision of a new template is found.
func StripReplicaSet(object any) (any, error) {
	replicaSet, isReplicaSet := object.(*unstructured.Unstructured)
	if !isReplicaSet {
		return object, nil
	}
	digest, err := digestOf(replicaSet)
	if err != nil {
		return nil, fmt.Errorf("ReplicaSet %s: %w", replicaSet.GetName(), err)
	}
	stripped := map[string]any{"apiVersion": replicaSet.Object["apiVersion"], "kind": replicaSet.Object["kind"], digestField: digest}
	for part, fields := range keptOfReplicaSet {
		from, _ := replicaSet.Object[part].(map[string]any)
		stripped[part] = only(from, fields...)
	}
	metadata := stripped["metadata"].(map[string]any)
	if annotations, isMap := metadata["annotations"].(map[string]any); isMap {
		metadata["annotations"] = only(annotations, v1alpha1.TemplateHashAnnotation, v1alpha1.PromotionAnnotation, v1alpha1.AbortedAnnotation)
	}
	if template, isMap := stripped["spec"].(map[string]any)["template"].(map[string]any); isMap {
		stripped["spec"].(map[string]any)["template"] = strippedTemplate(template)
	}
	return &unstructured.Unstructured{Object: stripped}, nil
}

func strippedTemplate(template map[string]any) map[string]any {
	metadata, _ := template["metadata"].(map[string]any)
	spec, _ := template["spec"].(map[string]any)
	stripped := only(spec, "readinessGates")
	containers, _ := spec["containers"].([]any)
	images := make([]any, len(containers))
	for i := range containers {
		container, _ := containers[i].(map[string]any)
		images[i] = only(container, "image")
	}
	stripped["containers"] = images
	return map[string]any{"metadata": only(metadata, "labels"), "spec": stripped}
}

// only returns a map with only these keys, as far as they exist.
func only(from map[string]any, keys ...string) map[string]any {
	kept := make(map[string]any, len(keys))
	for _, key := range keys {
		if value, found := from[key]; found {
			kept[key] = value
		}
	}
	return kept
}

// digestOf returns revision.Digest of the template of a ReplicaSet, stripped or not.
func digestOf(replicaSet *unstructured.Unstructured) (string, error) {
	if digest, isStripped := replicaSet.Object[digestField].(string); isStripped {
		return digest, nil
	}
	return revision.Digest(revision.Template(replicaSet))
}
