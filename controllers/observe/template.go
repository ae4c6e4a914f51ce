// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// refusedRetry is how long a refused template counts as refused. A policy may have refused it, and nothing reports
// when a policy changes.
const refusedRetry = time.Minute

// observeTemplate finds the revision of spec.template. This costs nothing if its bytes are known from memory, or from the
// annotation of a ReplicaSet. Otherwise one dry run has the API server default the template, and a ReplicaSet with an
// equal template is looked for; if there is none, it is a new revision. A refused template costs one dry run a minute.
func (s *observation) observeTemplate(ctx context.Context) error {
	digest, err := s.Tracker.digest(s.Snapshot.Rollout)
	if err != nil {
		return err
	}
	s.digest = digest
	hash := digest.template
	s.Observed.Template = plan.Template{Hash: hash, Images: digest.images}
	s.Observed.StepsHash = digest.steps
	known := cmp.Or(s.remembered(hash), s.annotated(hash))
	if len(s.orphans) == 0 && (known != "" || s.isDeleting()) {
		s.Observed.Template.Revision = known
		return nil
	}
	refused, isRefused := s.Tracker.refusal(s.Key(), hash, s.now)
	if isRefused {
		s.refuse(refused)
		return nil
	}
	normalized, err := s.normalize(ctx, hash)
	if err != nil && s.hasMemory() { // what is in flight still has to be managed
		s.TemplateError = err
		s.Observed.Template.Problem = &plan.Problem{Reason: v1alpha1.ReasonReconcileError, Message: err.Error()}
		return nil
	}
	if err != nil {
		return err
	}
	if normalized.problem != nil {
		refused = refusal{hash: hash, problem: *normalized.problem, until: s.now.Add(refusedRetry)}
		s.Tracker.refuse(s.Key(), refused)
		s.refuse(refused)
		return nil
	}
	equal, err := s.equal(normalized.template)
	if err != nil {
		return err
	}
	s.Observed.Template.Revision = cmp.Or(known, equal, normalized.revision)
	s.reportOrphans(normalized.template)
	return nil
}

// refuse records in the snapshot that the API server does not accept the template.
func (s *observation) refuse(refused refusal) {
	s.Observed.Template.Problem = &refused.problem
	s.observeAgain(refused.until)
	s.reportOrphans(nil)
}

// remembered returns the revision in memory for these bytes. It is not trusted while the name of its ReplicaSet is
// known to be used by something that is not ours.
func (s *observation) remembered(hash string) string {
	if !s.hasMemory() || s.Status.Memory.Template.Hash != hash {
		return ""
	}
	known := s.Status.Memory.Template.Revision
	if s.owner(known) == nil && s.Tracker.isTaken(s.Key(), revision.ReplicaSetName(s.Name, known)) {
		return ""
	}
	return known
}

// annotated returns the revision of the ReplicaSet that was made from these bytes.
func (s *observation) annotated(hash string) string {
	return s.first(func(replicaSet *unstructured.Unstructured) bool {
		return replicaSet.GetAnnotations()[v1alpha1.TemplateHashAnnotation] == hash
	})
}

// equal returns the revision of a ReplicaSet, ours or adoptable, with an equivalent template; empty if there is none.
func (s *observation) equal(normalized map[string]any) (string, error) {
	if normalized == nil {
		return "", nil
	}
	wanted, err := revision.Digest(normalized)
	if err != nil {
		return "", err
	}
	return s.first(func(replicaSet *unstructured.Unstructured) bool {
		digest, err := digestOf(replicaSet)
		return err == nil && digest == wanted
	}), nil
}

// first returns the revision of the best ReplicaSet that fits: the stable one, since reapplying its template is the
// way to roll back; then the one with the most ready pods; then the newest.
func (s *observation) first(fits func(*unstructured.Unstructured) bool) string {
	candidates := slices.DeleteFunc(slices.Concat(s.owned, s.orphans),
		func(replicaSet *unstructured.Unstructured) bool { return !fits(replicaSet) })
	if len(candidates) == 0 {
		return ""
	}
	slices.Reverse(candidates)
	return revisionOf(slices.MaxFunc(candidates, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(
			cmp.Compare(s.isStable(a), s.isStable(b)),
			cmp.Compare(count(a, "status", "readyReplicas"), count(b, "status", "readyReplicas")),
		)
	}))
}

func (s *observation) isStable(replicaSet *unstructured.Unstructured) int {
	if s.hasMemory() && s.Status.Memory.StableRevision == revisionOf(replicaSet) {
		return 1
	}
	return 0
}

// owner returns our ReplicaSet of a revision, or nil.
func (s *observation) owner(of string) *unstructured.Unstructured {
	for _, replicaSet := range s.owned {
		if revisionOf(replicaSet) == of {
			return replicaSet
		}
	}
	return nil
}

// normalized is the result of a dry run: a template and a free revision for it; or only a revision, if the API server
// has the ReplicaSet and our cache does not yet; or what is wrong with the template.
type normalized struct {
	template map[string]any
	revision string
	problem  *plan.Problem
}

// attempts bounds the search for a free name. Each attempt costs a request, and no name is expected to be taken.
const attempts = 10

// normalize tries the names of a new revision in turn.
func (s *observation) normalize(ctx context.Context, hash string) (normalized, error) {
	for attempt := range attempts {
		name := revision.Name(hash, attempt)
		if s.owner(name) != nil {
			continue // ours, but not from these bytes
		}
		result, isFree, err := s.try(ctx, revision.Identity{Revision: name, Hash: hash})
		if err != nil || isFree {
			return result, err
		}
	}
	return normalized{}, fmt.Errorf("the names of %d ReplicaSets for one pod template are all taken", attempts)
}

// try has the API server default the ReplicaSet that a revision would have.
func (s *observation) try(ctx context.Context, id revision.Identity) (result normalized, isFree bool, err error) {
	replicaSet := revision.Render(s.Raw(), id)
	name := replicaSet.GetName()
	err = s.Normalizer.Normalize(ctx, replicaSet)
	switch {
	case apierrors.IsAlreadyExists(err):
		isOurs, err := s.isOurs(ctx, name, id.Hash)
		return normalized{revision: id.Revision}, isOurs, err
	case IsRefusal(err):
		problem := &plan.Problem{Reason: v1alpha1.ReasonInvalidTemplate, Message: err.Error()}
		return normalized{problem: problem}, true, nil
	case err != nil:
		return normalized{}, false, fmt.Errorf("have the API server default the pod template: %w", err)
	}
	return normalized{template: revision.Template(replicaSet), revision: id.Revision}, true, nil
}

// isOurs reports whether a ReplicaSet whose name turned out to be in use is the one that we are about to create:
// owned by us and made from the same bytes. Then the cache is behind, or the ReplicaSet is being deleted and its name
// will be free again.
func (s *observation) isOurs(ctx context.Context, name, hash string) (bool, error) {
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(ReplicaSetKind)
	err := s.Live.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: name}, live)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return metav1.IsControlledBy(live, s.Snapshot.Rollout) &&
		live.GetAnnotations()[v1alpha1.TemplateHashAnnotation] == hash, err
}
