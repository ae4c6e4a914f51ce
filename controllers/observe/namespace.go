// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// observeNamespace reads the namespace only if the rollout is being deleted. A terminating namespace deletes Services
// and routes as well, so there is nothing to hand traffic back to. Missing permission must not block a deletion.
func (s *observation) observeNamespace(ctx context.Context) error {
	if !s.isDeleting() {
		return nil
	}
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := s.Live.Get(ctx, types.NamespacedName{Name: s.Namespace}, namespace)
	switch {
	case apierrors.IsNotFound(err):
		s.Observed.NamespaceTerminating = true
	case apierrors.IsForbidden(err):
		return nil
	case err == nil:
		s.Observed.NamespaceTerminating = namespace.DeletionTimestamp != nil
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
