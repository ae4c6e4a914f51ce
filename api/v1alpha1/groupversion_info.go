// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the schema of the canaryrollout.dev API group: the kinds CanaryRollout and
// CanaryMetric, their admission rules (CEL), and the names of the annotations, conditions and reasons that users rely on.
//
// +kubebuilder:object:generate=true
// +groupName=canaryrollout.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion identifies this API.
	GroupVersion = schema.GroupVersion{Group: "canaryrollout.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &CanaryRollout{}, &CanaryRolloutList{}, &CanaryMetric{}, &CanaryMetricList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
