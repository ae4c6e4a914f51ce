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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// rolloutKind returns the kind of rollouts.
func rolloutKind() schema.GroupVersionKind { return v1alpha1.GroupVersion.WithKind("CanaryRollout") }

// rollout is a rollout in two forms: typed for reading, and raw so that fields that our types do not know survive.
type rollout struct {
	*v1alpha1.CanaryRollout
	raw *unstructured.Unstructured
}

func newRollout(raw *unstructured.Unstructured) (*rollout, error) {
	r := &rollout{CanaryRollout: &v1alpha1.CanaryRollout{}, raw: raw}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, r.CanaryRollout); err != nil {
		return nil, fmt.Errorf("read rollout %s: %w", raw.GetName(), err)
	}
	return r, nil
}

// find reads a rollout. If it does not exist, the error suggests the names of some that do.
func (s *session) find(ctx context.Context, name string) (*rollout, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(rolloutKind())
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, raw)
	if err != nil {
		return nil, s.explain(ctx, name, err)
	}
	return newRollout(raw)
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

// isObserved reports whether the operator has observed the current spec, so that the status is about it.
func (r *rollout) isObserved() bool {
	return r.Status.Memory != nil && r.Status.ObservedGeneration >= r.Generation
}

// hasCommand reports whether a command is pending: its annotation is still there, or it is not carried out yet.
func (r *rollout) hasCommand() bool {
	for _, key := range []string{v1alpha1.PromoteAnnotation, v1alpha1.AbortAnnotation, v1alpha1.RetryAnnotation} {
		if _, found := r.Annotations[key]; found {
			return true
		}
	}
	return r.Status.Memory != nil && r.Status.Memory.Command != nil
}

// target returns the revision of spec.template; empty until the operator has recorded it.
func (r *rollout) target() string {
	hash, err := revision.Hash(revision.Template(r.raw))
	if err != nil || r.Status.Memory == nil || r.Status.Memory.Template.Hash != hash {
		return ""
	}
	return r.Status.Memory.Template.Revision
}

// refused returns why the operator would reject a command.
func (r *rollout) refused(key, value string) string {
	return plan.Refused(r.CanaryRollout, r.target(), key, value)
}

const (
	// pollInterval is the interval for reading a rollout whose status is about an older spec, and maxAttempts is the maximum
	// number of reads.
	pollInterval = 200 * time.Millisecond
	maxAttempts  = 15
)

// findObserved reads a rollout and briefly waits for the operator to observe its latest spec, so that a command is checked
// against the right status. After that it returns what it has.
func (s *session) findObserved(ctx context.Context, name string) (*rollout, error) {
	for attempt := 1; ; attempt++ {
		r, err := s.find(ctx, name)
		if err != nil || r.isObserved() || attempt == maxAttempts {
			return r, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
