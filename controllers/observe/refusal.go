// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// IsRefusal reports whether the API server, or an admission webhook, understood a request and rejected it. A
// terminating namespace also rejects new objects, but there is nothing to fix then.
func IsRefusal(err error) bool {
	return (isDenied(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) &&
		!apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// isDenied reports whether an admission webhook rejected a request. Its code is what the webhook chooses: an object that the webhook
// itself looks for and does not find is a 404, which says nothing about the object of the request. Only the message shows it.
func isDenied(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && strings.HasPrefix(status.Status().Message, `admission webhook "`)
}
