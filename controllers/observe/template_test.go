// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

func memory(hash, of, stable string) string {
	return fmt.Sprintf("memory: {stepIndex: 0, stableRevision: %s, stableService: {revision: %s}, "+
		"template: {hash: %s, revision: %s}, traffic: {weight: 0, verifiedWeight: 0}}", stable, stable, hash, of)
}

func orphan(replicaSet *unstructured.Unstructured) { replicaSet.SetOwnerReferences(nil) }

func otherTemplate(replicaSet *unstructured.Unstructured) {
	_ = unstructured.SetNestedField(replicaSet.Object, "Never", "spec", "template", "spec", "restartPolicy")
}

func TestTemplate(t *testing.T) {
	hash := hashOf(t)
	fresh, second := revision.Name(hash, 0), revision.Name(hash, 1)
	invalid := apierrors.NewInvalid(appsv1.SchemeGroupVersion.WithKind("ReplicaSet").GroupKind(), "x", nil)
	type objects = []client.Object
	for name, tc := range map[string]struct {
		status        string
		owned, live   objects
		taken         []string
		refusal       error
		want          string
		problem       string
		dryRuns, read int
	}{
		"remembered": {
			status: memory(hash, "aaa", "aaa"), owned: objects{aReplicaSet(t, "aaa", "other", nil)}, want: "aaa",
		},
		"remembered, its ReplicaSet is gone": {status: memory(hash, "aaa", "aaa"), want: "aaa"},
		"annotated": {
			status: memory("other", "aaa", "aaa"), want: "bbb",
			owned: objects{aReplicaSet(t, "aaa", "other", otherTemplate), aReplicaSet(t, "bbb", hash, nil)},
		},
		"equal after defaulting": {
			status: memory("other", "aaa", "aaa"), want: "bbb", dryRuns: 1,
			owned: objects{aReplicaSet(t, "aaa", "other", otherTemplate), aReplicaSet(t, "bbb", "older bytes", nil)},
		},
		"the stable one of two equals": {
			status: memory("other", "aaa", "aaa"), want: "aaa", dryRuns: 1,
			owned: objects{aReplicaSet(t, "aaa", "x", nil), aReplicaSet(t, "bbb", "y", nil)},
		},
		"new": {
			status: memory("other", "aaa", "aaa"), owned: objects{aReplicaSet(t, "aaa", "other", otherTemplate)},
			want: fresh, dryRuns: 1,
		},
		"new, name taken by a stranger": {
			status: memory("other", "aaa", "aaa"), want: second, dryRuns: 2, read: 1,
			taken: []string{"reviews-" + fresh}, live: objects{aReplicaSet(t, fresh, hash, orphan)},
		},
		"new, name taken by ours, made from these bytes": {
			status: memory("other", "aaa", "aaa"), want: fresh, dryRuns: 1, read: 1,
			taken: []string{"reviews-" + fresh}, live: objects{aReplicaSet(t, fresh, hash, nil)},
		},
		"new, name taken by ours, of other bytes": {
			status: memory("other", "aaa", "aaa"), want: second, dryRuns: 1,
			owned: objects{aReplicaSet(t, fresh, "other", otherTemplate)},
		},
		"refused": {
			status: memory("other", "aaa", "aaa"), refusal: invalid, problem: v1alpha1.ReasonInvalidTemplate, dryRuns: 1,
		},
		"adoption, an equal orphan": {
			live: objects{aReplicaSet(t, "ooo", "", orphan)}, want: "ooo", dryRuns: 1, read: 1,
		},
		"adoption, no orphan": {want: fresh, dryRuns: 1, read: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(tc.owned, anApp(t, "reviews", tc.status)), tc.live...)
			w.normalizer.err = tc.refusal
			for _, taken := range tc.taken {
				w.normalizer.taken[taken] = true
			}
			got := w.mustObserve(t).Observed.Template
			if got.Revision != tc.want || got.Hash != hash || got.Images != "reviews:v1, proxy:v9" {
				t.Errorf("template = %+v, want revision %q", got, tc.want)
			}
			if got.Problem == nil && tc.problem != "" || got.Problem != nil && got.Problem.Reason != tc.problem {
				t.Errorf("problem = %v, want %q", got.Problem, tc.problem)
			}
			if w.normalizer.calls != tc.dryRuns || w.reads != tc.read {
				t.Errorf("%d dry runs and %d live reads, want %d and %d", w.normalizer.calls, w.reads, tc.dryRuns, tc.read)
			}
		})
	}
}

func TestTemplateRememberedNameTaken(t *testing.T) {
	hash := hashOf(t)
	first, second := revision.Name(hash, 0), revision.Name(hash, 1)
	stranger := aReplicaSet(t, first, hash, orphan)
	w := newWorld(t, []client.Object{anApp(t, "reviews", memory(hash, first, "aaa"))}, stranger)
	w.normalizer.taken[stranger.GetName()] = true
	w.Tracker.NameTaken(reviewsKey, stranger.GetName())
	if got := w.mustObserve(t).Observed.Template.Revision; got != second {
		t.Errorf("revision = %q, want %q", got, second)
	}
}

// TestTemplateFailure: a template that the API server rejects is a problem of the template, whatever the error. If
// the API server cannot answer, a release in flight must still be managed; without memory there is none.
func TestTemplateFailure(t *testing.T) {
	replicaSets := appsv1.Resource("replicasets")
	inFlight, fresh := memory("other", "aaa", "aaa"), ""
	for name, tc := range map[string]struct {
		err    error
		memory string
		reason string
		fails  bool // and has to be retried
	}{
		"forbidden":                {apierrors.NewForbidden(replicaSets, "x", errors.New("quota")), inFlight, v1alpha1.ReasonInvalidTemplate, false},
		"bad request":              {apierrors.NewBadRequest("denied the request"), inFlight, v1alpha1.ReasonInvalidTemplate, false},
		"forbidden, no memory":     {apierrors.NewForbidden(replicaSets, "x", errors.New("quota")), fresh, v1alpha1.ReasonInvalidTemplate, false},
		"a webhook is down":        {apierrors.NewInternalError(errors.New("failed calling webhook")), inFlight, v1alpha1.ReasonReconcileError, true},
		"a webhook is down, fresh": {apierrors.NewInternalError(errors.New("failed calling webhook")), fresh, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, []client.Object{anApp(t, "reviews", tc.memory)})
			w.normalizer.err = tc.err
			got, err := w.observe(t)
			if tc.reason == "" {
				if !errors.Is(err, tc.err) {
					t.Errorf("err = %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			template := got.Observed.Template
			if template.Revision != "" || template.Problem == nil || template.Problem.Reason != tc.reason || (got.TemplateError != nil) != tc.fails {
				t.Errorf("template = %+v, problem %+v, error %v", template, template.Problem, got.TemplateError)
			}
		})
	}
}

// TestTemplateRefused: a template that the API server refuses costs one dry run a minute, however often it is
// observed. Another template is tried at once.
func TestTemplateRefused(t *testing.T) {
	w := newWorld(t, []client.Object{anApp(t, "reviews", memory("other", "aaa", "aaa"))})
	w.now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.normalizer.err = apierrors.NewForbidden(appsv1.Resource("replicasets"), "x", errors.New("policy"))
	began := w.now
	look := func(after time.Duration, wantDryRuns int) {
		t.Helper()
		w.now = began.Add(after)
		snap := w.mustObserve(t)
		if problem := snap.Observed.Template.Problem; problem == nil || problem.Reason != v1alpha1.ReasonInvalidTemplate {
			t.Errorf("problem = %+v", problem)
		}
		if want := began.Add(time.Duration(wantDryRuns) * refusedRetry); !snap.ObserveAgainAt.Equal(want) || w.normalizer.calls != wantDryRuns {
			t.Errorf("after %s: %d dry runs, and the next one at %s; want %d, and %s", after, w.normalizer.calls, snap.ObserveAgainAt, wantDryRuns, want)
		}
	}
	look(0, 1)
	look(0, 1)
	look(refusedRetry-1, 1)
	look(refusedRetry, 2)
	w.Tracker.refuse(reviewsKey, refusal{hash: "of another template", until: began.Add(time.Hour)})
	w.normalizer.err = nil
	if snap := w.mustObserve(t); snap.Observed.Template.Problem != nil || !snap.ObserveAgainAt.IsZero() || w.normalizer.calls != 3 {
		t.Errorf("another template: %+v after %d dry runs", snap.Observed.Template, w.normalizer.calls)
	}
}

func TestTemplateOfADeletedRolloutCostsNothing(t *testing.T) {
	rollout := anApp(t, "reviews", memory("other", "aaa", "aaa"))
	now := metav1.Now()
	rollout.SetDeletionTimestamp(&now)
	rollout.SetFinalizers([]string{v1alpha1.Finalizer})
	w := newWorld(t, []client.Object{rollout})
	if got := w.mustObserve(t); got.Observed.Template.Revision != "" || w.normalizer.calls != 0 || !got.Observed.NamespaceTerminating {
		t.Errorf("observed %+v after %d dry runs", got.Observed, w.normalizer.calls)
	}
}

func TestOrphans(t *testing.T) {
	running := func(of string, changes ...func(*unstructured.Unstructured)) client.Object {
		return aReplicaSet(t, of, "", func(replicaSet *unstructured.Unstructured) {
			orphan(replicaSet)
			for _, change := range changes {
				change(replicaSet)
			}
		})
	}
	set := func(value any, fields ...string) func(*unstructured.Unstructured) {
		return func(replicaSet *unstructured.Unstructured) {
			if err := unstructured.SetNestedField(replicaSet.Object, value, fields...); err != nil {
				t.Fatal(err)
			}
		}
	}
	live := []client.Object{
		running("equal"),
		running("other", otherTemplate),
		running("idle", set(int64(0), "spec", "replicas"), set(int64(0), "status", "replicas"), func(rs *unstructured.Unstructured) { rs.SetLabels(map[string]string{"app": "reviews"}) }),
		// One of ours, restored from a backup: adopted even without pods, for its annotations.
		running("restored", set(int64(0), "spec", "replicas"), set(int64(0), "status", "replicas"), set(int64(0), "status", "readyReplicas"), set("broken by hand", "metadata", "annotations", v1alpha1.PromotionAnnotation), set("why", "metadata", "annotations", v1alpha1.AbortedAnnotation)),
		running("stopping", set(int64(0), "spec", "replicas")),
		running("nohash", func(rs *unstructured.Unstructured) {
			unstructured.RemoveNestedField(rs.Object, "spec", "selector", "matchLabels", "pod-template-hash")
		}),
		running("elsewhere", func(rs *unstructured.Unstructured) { rs.SetNamespace("other") }),
		running("unlike", func(rs *unstructured.Unstructured) { rs.SetLabels(map[string]string{"app": "ratings"}) }),
		aReplicaSet(t, "owned", "", func(rs *unstructured.Unstructured) {
			owners := rs.GetOwnerReferences()
			owners[0].UID = "of-another"
			rs.SetOwnerReferences(owners)
		}),
	}
	w := newWorld(t, []client.Object{anApp(t, "reviews", "")}, live...)
	snap := w.mustObserve(t)
	want := []plan.Orphan{
		{Name: "reviews-equal", Revision: "equal", Equal: true, Desired: 2, Ready: 1},
		{Name: "reviews-other", Revision: "other", Desired: 2, Ready: 1},
		{Name: "reviews-restored", Revision: "restored", Equal: true, Marks: plan.Marks{AbortReason: "why"}},
		{Name: "reviews-stopping", Revision: "stopping", Equal: true, Ready: 1},
	}
	if diff := cmp.Diff(want, snap.Observed.Orphans); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	if len(snap.ReplicaSets) != 4 {
		t.Errorf("%d raw objects, want those of the orphans", len(snap.ReplicaSets))
	}
}

// TestAdoptedUnseen: an adopted ReplicaSet whose response was lost is not in the cache yet, and no longer an orphan.
// The rollout must not be taken for one that never ran.
func TestAdoptedUnseen(t *testing.T) {
	adopted := aReplicaSet(t, "other", "", otherTemplate)
	w := newWorld(t, []client.Object{anApp(t, "reviews", "")}, adopted)
	if _, err := w.observe(t); !errors.Is(err, ErrStale) {
		t.Errorf("err = %v, want ErrStale", err)
	}
	w = newWorld(t, []client.Object{anApp(t, "reviews", ""), adopted}, adopted)
	if snap := w.mustObserve(t); len(snap.Observed.ReplicaSets) != 1 || len(snap.Observed.Orphans) != 0 {
		t.Errorf("%d ReplicaSets and %d orphans, want the one that was adopted", len(snap.Observed.ReplicaSets), len(snap.Observed.Orphans))
	}
}

// TestReadinessGatesAreSeen: pods with readiness gates may become ready only once they are endpoints.
func TestReadinessGatesAreSeen(t *testing.T) {
	gated := aReplicaSet(t, "aaa", "", func(replicaSet *unstructured.Unstructured) {
		gates := []any{map[string]any{"conditionType": "target-health.example.test"}}
		_ = unstructured.SetNestedSlice(replicaSet.Object, gates, "spec", "template", "spec", "readinessGates")
	})
	for _, tc := range []struct {
		replicaSet *unstructured.Unstructured
		want       bool
	}{{gated, true}, {aReplicaSet(t, "aaa", "", nil), false}} {
		if got := observedReplicaSet(tc.replicaSet).Gated; got != tc.want {
			t.Errorf("gated = %t, want %t", got, tc.want)
		}
	}
}
