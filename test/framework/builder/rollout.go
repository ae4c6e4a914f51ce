// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package builder makes objects for tests in few words.
//
//	builder.MakeRollout("shop", "reviews").Replicas(2).Steps(builder.Weight(50), builder.Hold()).Obj()
package builder

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Images of the bookinfo sample.
const (
	ImageV1 = "istio/examples-bookinfo-reviews-v1:1.20.2"
	ImageV2 = "istio/examples-bookinfo-reviews-v2:1.20.2"
	ImageV3 = "istio/examples-bookinfo-reviews-v3:1.20.2"
)

// Rollout is a CanaryRollout under construction.
type Rollout struct{ made v1alpha1.CanaryRollout }

// MakeRollout starts with a fast rollout: two pods that terminate immediately, no settling and no delay. A rollout named x
// has pods labeled app=x, the Services x-stable and x-canary, and the HTTPRoute x.
func MakeRollout(namespace, name string) *Rollout {
	labels := map[string]string{"app": name}
	return &Rollout{v1alpha1.CanaryRollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.CanaryRolloutSpec{
			Replicas: ptr.To[int32](2), Selector: v1alpha1.PodSelector{MatchLabels: labels},
			ScaleDownDelaySeconds: ptr.To[int32](0),
			Template: Template(corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: ptr.To[int64](0),
					Containers:                    []corev1.Container{{Name: "app", Image: ImageV1}},
				},
			}),
			Traffic: v1alpha1.Traffic{
				StableService: name + "-stable", CanaryService: name + "-canary", SettleSeconds: ptr.To[int32](0),
				Routes: []v1alpha1.RouteReference{{Kind: "HTTPRoute", Name: name}},
			},
		},
	}}
}

// Replicas sets spec.replicas.
func (r *Rollout) Replicas(n int32) *Rollout {
	r.made.Spec.Replicas = &n
	return r
}

// Steps sets spec.steps.
func (r *Rollout) Steps(steps ...v1alpha1.Step) *Rollout {
	r.made.Spec.Steps = steps
	return r
}

// Settle sets spec.traffic.settleSeconds.
func (r *Rollout) Settle(seconds int32) *Rollout {
	r.made.Spec.Traffic.SettleSeconds = &seconds
	return r
}

// ScaleDownDelay sets spec.scaleDownDelaySeconds.
func (r *Rollout) ScaleDownDelay(seconds int32) *Rollout {
	r.made.Spec.ScaleDownDelaySeconds = &seconds
	return r
}

// ProgressDeadline sets spec.progressDeadlineSeconds.
func (r *Rollout) ProgressDeadline(seconds int32) *Rollout {
	r.made.Spec.ProgressDeadlineSeconds = &seconds
	return r
}

// HistoryLimit sets spec.revisionHistoryLimit.
func (r *Rollout) HistoryLimit(n int32) *Rollout {
	r.made.Spec.RevisionHistoryLimit = &n
	return r
}

// Paused sets spec.paused.
func (r *Rollout) Paused() *Rollout {
	r.made.Spec.Paused = true
	return r
}

// Image sets the image of the container.
func (r *Rollout) Image(image string) *Rollout {
	SetImage(&r.made, image)
	return r
}

// PodAnnotation adds an annotation to the template.
func (r *Rollout) PodAnnotation(key, value string) *Rollout {
	EditTemplate(&r.made, func(t *corev1.PodTemplateSpec) { metav1.SetMetaDataAnnotation(&t.ObjectMeta, key, value) })
	return r
}

// PodsOf gives the pods the label of another application.
func (r *Rollout) PodsOf(app string) *Rollout {
	labels := map[string]string{"app": app}
	r.made.Spec.Selector.MatchLabels = labels
	EditTemplate(&r.made, func(t *corev1.PodTemplateSpec) { t.Labels = labels })
	return r
}

// Services sets the names of the two Services.
func (r *Rollout) Services(stable, canary string) *Rollout {
	r.made.Spec.Traffic.StableService, r.made.Spec.Traffic.CanaryService = stable, canary
	return r
}

// Routes sets the names of the HTTPRoutes.
func (r *Rollout) Routes(names ...string) *Rollout {
	r.made.Spec.Traffic.Routes = nil
	for _, name := range names {
		r.made.Spec.Traffic.Routes = append(r.made.Spec.Traffic.Routes, v1alpha1.RouteReference{Kind: "HTTPRoute", Name: name})
	}
	return r
}

// Obj returns a copy of the rollout.
func (r *Rollout) Obj() *v1alpha1.CanaryRollout { return r.made.DeepCopy() }
