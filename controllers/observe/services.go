// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/selector"
)

// services returns the names of the two Services in force: those in memory, until a plan takes over those of the spec.
func (r *Rollout) services() (stable, canary string) {
	stable, canary = r.Spec.Traffic.StableService, r.Spec.Traffic.CanaryService
	if memory := r.Status.Memory; memory != nil {
		stable, canary = cmp.Or(memory.StableService.Name, stable), cmp.Or(memory.CanaryService.Name, canary)
	}
	return stable, canary
}

// observeServices reads the two Services and their endpoints, and the Services that were removed from the spec.
func (s *observation) observeServices(ctx context.Context) (err error) {
	stableName, canaryName := s.services()
	if s.Observed.Stable, err = s.service(ctx, stableName); err != nil {
		return err
	}
	if stable := &s.Observed.Stable; stable.Problem == nil {
		stable.Problem = s.servedProblem(s.Services[stable.Name])
	}
	if s.Observed.Canary, err = s.service(ctx, canaryName); err != nil || !s.hasMemory() {
		return err
	}
	for _, name := range s.Status.Memory.LeavingServices {
		leaving, err := s.leavingService(ctx, name)
		if err != nil {
			return err
		}
		s.Observed.Leaving = append(s.Observed.Leaving, leaving)
	}
	return nil
}

// leavingService reads a Service that was removed from the spec. Only the hash in its selector is still ours.
func (s *observation) leavingService(ctx context.Context, name string) (plan.Service, error) {
	service, err := s.findService(ctx, name)
	if err != nil || service == nil {
		return plan.Service{Name: name}, err
	}
	s.Services[name] = service
	conflict, err := s.conflict(ctx, name)
	return plan.Service{Name: name, Found: true, Problem: conflict, Revision: service.Spec.Selector[v1alpha1.RevisionLabel]}, err
}

func (s *observation) service(ctx context.Context, name string) (plan.Service, error) {
	service, err := s.findService(ctx, name)
	if err != nil {
		return plan.Service{}, err
	}
	if service == nil {
		return plan.Service{Name: name, Problem: &plan.Problem{
			Reason:  v1alpha1.ReasonServiceNotFound,
			Message: fmt.Sprintf("Service %s does not exist: create it", name),
		}}, nil
	}
	s.Services[name] = service
	problem, err := s.serviceProblem(ctx, service)
	if err != nil {
		return plan.Service{}, err
	}
	endpoints, others, err := s.endpoints(ctx, service)
	return plan.Service{
		Name: name, Found: true, Problem: problem,
		Revision: service.Spec.Selector[v1alpha1.RevisionLabel], FieldManager: fieldManagerOf(service),
		Created: service.CreationTimestamp.Time, Endpoints: endpoints, Others: others,
	}, err
}

// findService returns nil if there is no such Service. The cache holds all Services, so no live read is needed.
func (s *observation) findService(ctx context.Context, name string) (*corev1.Service, error) {
	service := &corev1.Service{}
	err := s.Cache.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: name}, service, client.UnsafeDisableDeepCopy)
	switch {
	case apierrors.IsNotFound(err):
		return nil, s.checkFresh(ctx, Object{ServiceKind, name}, nil)
	case err != nil:
		return nil, err
	}
	return service, s.checkFresh(ctx, Object{ServiceKind, name}, service)
}

// serviceProblem returns why a Service cannot be used, or nil.
func (s *observation) serviceProblem(ctx context.Context, service *corev1.Service) (*plan.Problem, error) {
	if conflict, err := s.conflict(ctx, service.Name); err != nil || conflict != nil {
		return conflict, err
	}
	return selector.CheckTemplate(service.Name, service.Spec.Selector, s.digest.labels), nil
}

// conflict returns a problem if an older rollout has the Service, otherwise nil.
func (s *observation) conflict(ctx context.Context, service string) (*plan.Problem, error) {
	conflictingRollout, err := s.conflictingRollout(ctx, service)
	if err != nil || conflictingRollout == "" {
		return nil, err
	}
	return &plan.Problem{
		Reason: v1alpha1.ReasonServiceConflict,
		Message: fmt.Sprintf("Service %s is managed by CanaryRollout %s, which is older: name another Service",
			service, conflictingRollout),
	}, nil
}

// servedProblem checks the selector of the stable Service against the pods that it is meant to select, not only
// against those of the template.
func (s *observation) servedProblem(service *corev1.Service) *plan.Problem {
	if !s.hasMemory() {
		return nil
	}
	serving := s.Status.Memory.StableService.Revision
	at := slices.IndexFunc(s.owned, func(object *unstructured.Unstructured) bool { return revisionOf(object) == serving })
	if at < 0 {
		return nil
	}
	return selector.CheckServing(service.Name, serving, service.Spec.Selector, podLabels(s.owned[at]))
}

// conflictingRollout returns the oldest other rollout that names the same Service, if it is older than this one: the older one
// keeps it.
func (s *observation) conflictingRollout(ctx context.Context, service string) (string, error) {
	list := &RolloutList{}
	err := s.Cache.List(ctx, list, client.InNamespace(s.Namespace), client.MatchingFields{IndexService: service},
		client.UnsafeDisableDeepCopy)
	if err != nil {
		return "", err
	}
	oldest := s.Snapshot.Rollout
	for i := range list.Items {
		if other := &list.Items[i]; other.UID != s.UID && byAge(other, oldest) < 0 {
			oldest = other
		}
	}
	if oldest == s.Snapshot.Rollout {
		return "", nil
	}
	return oldest.Name, nil
}

func byAge(a, b metav1.Object) int {
	created := b.GetCreationTimestamp()
	return cmp.Or(a.GetCreationTimestamp().Compare(created.Time), cmp.Compare(a.GetName(), b.GetName()))
}
