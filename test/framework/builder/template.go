// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package builder

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Template returns a pod template as the spec of a rollout holds it. Its keys are sorted, as in objects read from the API
// server.
func Template(template corev1.PodTemplateSpec) runtime.RawExtension {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&template)
	if err != nil {
		panic(err)
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return runtime.RawExtension{Raw: raw}
}

// TemplateOf returns the pod template of a rollout.
func TemplateOf(rollout *v1alpha1.CanaryRollout) corev1.PodTemplateSpec {
	var template corev1.PodTemplateSpec
	if err := json.Unmarshal(rollout.Spec.Template.Raw, &template); err != nil {
		panic(err)
	}
	return template
}

// EditTemplate changes the pod template of a rollout.
func EditTemplate(rollout *v1alpha1.CanaryRollout, edit func(*corev1.PodTemplateSpec)) {
	template := TemplateOf(rollout)
	edit(&template)
	rollout.Spec.Template = Template(template)
}

// GracePeriod sets how long the pods of a rollout answer after they are deleted.
func GracePeriod(rollout *v1alpha1.CanaryRollout, seconds int64) {
	EditTemplate(rollout, func(t *corev1.PodTemplateSpec) { t.Spec.TerminationGracePeriodSeconds = &seconds })
}

// SetImage sets the image of the first container.
func SetImage(rollout *v1alpha1.CanaryRollout, image string) {
	EditTemplate(rollout, func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = image })
}
