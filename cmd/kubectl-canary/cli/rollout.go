// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
)

// find reads a rollout. If it does not exist, the error suggests the names of some that do.
func (s *session) find(ctx context.Context, name string) (*action.Rollout, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(action.Kind())
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, raw)
	if err != nil {
		return nil, s.explain(ctx, name, err)
	}
	return action.NewRollout(raw)
}

const notInstalled = "CanaryRollouts are not installed in the cluster: install the operator first, or only its CRDs: " +
	"kubectl apply --server-side -k config/crd"

// explain adds advice to an error of the API server.
func (s *session) explain(ctx context.Context, name string, err error) error {
	switch {
	case isMissingKind(err):
		return errors.New(notInstalled)
	case apierrors.IsNotFound(err):
		return s.notFound(ctx, name)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; ask an administrator for the role for users of CanaryRollouts", err)
	default:
		return err
	}
}

// isMissingKind distinguishes a kind that is not served from an object that does not exist.
func isMissingKind(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// maxSuggestions is how many names an error suggests at most.
const maxSuggestions = 5

func (s *session) notFound(ctx context.Context, name string) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CanaryRolloutList"))
	missing := fmt.Sprintf("there is no rollout %q in namespace %s", name, s.namespace)
	if err := s.client.List(ctx, list, client.InNamespace(s.namespace), client.Limit(maxSuggestions+1)); err != nil {
		return errors.New(missing)
	}
	var names []string
	for _, item := range list.Items[:min(len(list.Items), maxSuggestions)] {
		names = append(names, item.Name)
	}
	switch {
	case len(names) == 0:
		return fmt.Errorf("%s, and there is no other rollout in it: set the namespace with -n, or list all rollouts: kubectl canary list -A", missing)
	case len(list.Items) > maxSuggestions || list.Continue != "":
		return fmt.Errorf("%s; there are %s and more: kubectl canary list%s", missing, strings.Join(names, ", "), s.flags())
	default:
		return fmt.Errorf("%s; there is %s", missing, strings.Join(names, ", "))
	}
}

const (
	// pollInterval is the interval for reading a rollout whose status is about an older spec, and maxAttempts is the maximum
	// number of reads.
	pollInterval = 200 * time.Millisecond
	maxAttempts  = 15
)

// findObserved reads a rollout and briefly waits for the operator to observe its latest spec, so that a command is checked
// against the right status. After that it returns what it has.
func (s *session) findObserved(ctx context.Context, name string) (*action.Rollout, error) {
	for attempt := 1; ; attempt++ {
		r, err := s.find(ctx, name)
		if err != nil || r.IsObserved() || attempt == maxAttempts {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
