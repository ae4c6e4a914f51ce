// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

const (
	// minPodsInterval is how long pods may take to become ready before the reason is looked up.
	minPodsInterval = 10 * time.Second
	// maxPodsInterval is the longest interval between requests about pods that stay unready.
	maxPodsInterval = 10 * time.Minute
)

// Pods knows why pods are not ready. Caching pods would cost memory for every pod of the cluster. Instead, the API
// server is asked per revision, and only while a revision lacks ready pods: first 10 seconds after that was seen,
// then whenever the elapsed time has doubled, but at least every 10 minutes. It is safe for concurrent use.
type Pods struct {
	live client.Reader
	// checks are the latest checks at ReplicaSets that lack ready pods, by UID.
	checks *utilcache.Expiring
}

// podCheck is what is known about the pods of a ReplicaSet, and when to ask again.
type podCheck struct {
	since, next time.Time
	reason      string
}

// NewPods returns a Pods that asks the API server through this reader.
func NewPods(live client.Reader) *Pods {
	return &Pods{live: live, checks: utilcache.NewExpiring()}
}

// unready returns why pods of a ReplicaSet are not ready, as far as known, and when to ask again.
func (p *Pods) unready(ctx context.Context, replicaSet *unstructured.Unstructured, labels map[string]string, now time.Time) (string, time.Time) {
	uid := replicaSet.GetUID()
	last, isKnown := p.known(uid)
	switch {
	case !isKnown:
		last = podCheck{since: now, next: now.Add(minPodsInterval)}
	case now.Before(last.next):
		return last.reason, last.next
	default:
		last.reason = p.list(ctx, replicaSet, labels)
		last.next = now.Add(min(max(now.Sub(last.since), minPodsInterval), maxPodsInterval))
	}
	p.checks.Set(uid, last, 2*maxPodsInterval)
	return last.reason, last.next
}

func (p *Pods) known(uid types.UID) (podCheck, bool) {
	last, isKnown := p.checks.Get(uid)
	if !isKnown {
		return podCheck{}, false
	}
	return last.(podCheck), true
}

func (p *Pods) forget(replicaSet *unstructured.Unstructured) { p.checks.Delete(replicaSet.GetUID()) }

// list lists the pods from the API server's cache. A failure is not an error: the answer is only informational.
func (p *Pods) list(ctx context.Context, replicaSet *unstructured.Unstructured, labels map[string]string) string {
	pods := &corev1.PodList{}
	err := p.live.List(ctx, pods, client.InNamespace(replicaSet.GetNamespace()), client.MatchingLabels(labels),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}})
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Cannot find out why pods are not ready", "replicaSet", replicaSet.GetName(), "reason", err.Error())
		return ""
	}
	return revision.Unready(pods.Items)
}

// observePods records why the revisions that should serve lack pods: the ReplicaSet's own condition if pods cannot be
// created, otherwise what the pods wait for.
func (s *observation) observePods(ctx context.Context) error {
	for i, replicaSet := range s.owned {
		observed := &s.Observed.ReplicaSets[i]
		if !s.shouldServe(*observed) || observed.Ready >= observed.Desired {
			s.Pods.forget(replicaSet)
			continue
		}
		if observed.Trouble = failure(replicaSet); observed.Trouble != "" {
			continue
		}
		labels := map[string]string{v1alpha1.RevisionLabel: observed.Revision}
		maps.Copy(labels, s.Spec.Selector.MatchLabels)
		words, next := s.Pods.unready(ctx, replicaSet, labels, s.now)
		observed.Trouble = words
		s.observeAgain(next)
	}
	return nil
}

func (s *observation) shouldServe(of plan.ReplicaSet) bool {
	memory := s.Status.Memory
	return memory != nil && (of.Revision == memory.StableRevision || of.Revision == memory.CurrentRevision)
}

// failure returns revision.Failure of a stored ReplicaSet; empty if its status cannot be read.
func failure(replicaSet *unstructured.Unstructured) string {
	var status appsv1.ReplicaSetStatus
	fields, _, _ := unstructured.NestedMap(replicaSet.Object, "status")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &status); err != nil {
		return ""
	}
	return revision.Failure(count(replicaSet, "spec", "replicas"), status)
}
