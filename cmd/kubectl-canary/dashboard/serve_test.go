// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

var (
	serve   = flag.Bool("serve", false, "serve a dashboard of made-up rollouts until Ctrl-C, to work on the page without a cluster")
	howMany = flag.Int("rollouts", 200, "how many rollouts -serve makes up")
)

// TestServe serves the page, for people who work on it. Its rollouts have all states, and one of them moves.
func TestServe(t *testing.T) {
	if !*serve {
		t.Skip("only with -serve")
	}
	objects := []client.Object{}
	for i := range *howMany {
		objects = append(objects, madeUp(t, i)...)
	}
	b := newBench(t, Options{Now: time.Now}, interceptor.Funcs{}, objects...)
	fmt.Fprintln(os.Stderr, "\n  "+b.first)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	for weight := int32(10); ; weight = weight%90 + 20 {
		select {
		case <-interrupted:
			return
		case <-time.After(5 * time.Second):
		}
		b.move(weight)
	}
}

// move changes the weight of the first rollout. It is verified with the next change.
func (b *bench) move(weight int32) {
	b.t.Helper()
	object := &v1alpha1.CanaryRollout{}
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Namespace: "shop", Name: "reviews-000"}, object); err != nil {
		b.t.Fatal(err)
	}
	status := &object.Status
	status.Traffic.VerifiedWeight, status.Traffic.DesiredWeight = status.Traffic.DesiredWeight, weight
	status.RevisionWeight = &v1alpha1.RevisionWeight{Verified: status.Traffic.VerifiedWeight, Desired: weight}
	if err := b.client.Status().Update(b.t.Context(), object); err != nil {
		b.t.Fatal(err)
	}
}

// looks are the states of made-up rollouts, with what they wait for.
var looks = []struct {
	state   v1alpha1.State
	message string
}{
	{v1alpha1.StatePaused, "paused until promoted: kubectl -n shop annotate canaryrollout reviews-000 canaryrollout.dev/promote=true"},
	{v1alpha1.StateHealthy, "revision " + stableRevision + " serves all traffic"},
	{v1alpha1.StateProgressing, "waiting for HTTPRoute bookinfo-reviews to be accepted at generation 12 by Gateway http-gateway"},
	{v1alpha1.StateHealthy, "revision " + stableRevision + " serves all traffic"},
	{v1alpha1.StateDegraded, "no progress within 10m0s: waiting for 1 available pod of revision " + canaryRevision + ": 0 so far"},
	{v1alpha1.StateHealthy, "revision " + stableRevision + " serves all traffic"},
	{v1alpha1.StatePromoting, "weight 100 is verified and settles"},
	{v1alpha1.StateAborted, "revision " + canaryRevision + " was aborted (too many errors), revision " + stableRevision + " serves"},
}

// madeUp returns a rollout with its ReplicaSets, pods and Events.
func madeUp(t *testing.T, i int) []client.Object {
	t.Helper()
	began := time.Now().Add(-time.Duration(5+i) * time.Minute)
	look, name := looks[i%len(looks)], fmt.Sprintf("reviews-%03d", i)
	rollout := paused(t, func(r *v1alpha1.CanaryRollout) {
		r.Name, r.UID, r.Spec.Selector.MatchLabels["app"] = name, types.UID(fmt.Sprint(1000+i)), name
		if i%3 == 1 {
			r.Namespace = "books"
		}
		r.CreationTimestamp = metav1.NewTime(began.Add(-time.Hour))
		r.Spec.Steps = []v1alpha1.Step{
			{SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: ptr.To[int32](1)}}, {Pause: &v1alpha1.Pause{}}, {SetWeight: ptr.To[int32](10)},
			{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: 10 * time.Minute}}}, {SetWeight: ptr.To[int32](25)},
			{Pause: &v1alpha1.Pause{Duration: &metav1.Duration{Duration: 10 * time.Minute}}}, {SetWeight: ptr.To[int32](60)}, {SetWeight: ptr.To[int32](100)},
		}
		r.Status.State, r.Status.Message, r.Status.Step, r.Status.Memory.StepIndex = look.state, look.message, "4/8", 3
		r.Status.Analysis = []v1alpha1.MetricStatus{
			{Name: "errors", Scope: v1alpha1.MetricBackground, Measurements: 12, FailureEvidence: 61, PassEvidence: 4,
				Message: "5 of 1200 requests of the canary were bad (0.42 %), and 11 of 10800 of stable (0.1 %); no verdict yet"},
			{Name: "p95", Scope: v1alpha1.MetricStep, Measurements: 3, Failures: 1, FailureEvidence: 50, PassEvidence: 60, Message: "the last result is 0.42"},
			{Name: "smoke", Scope: v1alpha1.MetricStep, Verdict: v1alpha1.VerdictPassed, Measurements: 1, PassEvidence: 100},
		}
		r.Status.Traffic.Routes = []v1alpha1.RouteStatus{{Kind: "HTTPRoute", Name: "bookinfo-reviews", DesiredWeight: 10, VerifiedWeight: ptr.To[int32](10)}}
		r.Status.History = []v1alpha1.HistoryEntry{
			{Revision: canaryRevision, Images: "reviews:2", Outcome: v1alpha1.OutcomeInProgress, StartedAt: ptr.To(metav1.NewTime(began))},
			{Revision: canaryRevision, Images: "reviews:2", Outcome: v1alpha1.OutcomeAborted, Message: "too many errors",
				StartedAt: ptr.To(metav1.NewTime(began.Add(-26 * time.Hour))), EndedAt: ptr.To(metav1.NewTime(began.Add(-25 * time.Hour)))},
			{Revision: stableRevision, Images: "reviews:1", Outcome: v1alpha1.OutcomePromoted,
				StartedAt: ptr.To(metav1.NewTime(began.Add(-50 * time.Hour))), EndedAt: ptr.To(metav1.NewTime(began.Add(-49 * time.Hour)))},
		}
		if look.state == v1alpha1.StateHealthy {
			r.Status.RevisionWeight, r.Status.Revision, r.Status.Step = &v1alpha1.RevisionWeight{Verified: 100, Desired: 100}, stableRevision, "8/8"
			r.Status.Memory.CurrentRevision, r.Status.Memory.Phase = stableRevision, v1alpha1.PhaseIdle
		}
	})
	objects := []client.Object{rollout, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: rollout.Namespace, Name: name + ".1"},
		InvolvedObject: corev1.ObjectReference{UID: rollout.UID}, Type: "Warning", Reason: "RouteOverwritten",
		Message: "HTTPRoute bookinfo-reviews: argocd-controller set weight 0, weight 10 is restored", LastTimestamp: metav1.NewTime(began), Count: 3,
	}}
	for revision, count := range map[string]int32{stableRevision: 3, canaryRevision: 1} {
		set := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name: name + "-" + revision, Namespace: rollout.Namespace, CreationTimestamp: metav1.NewTime(began),
				Labels: map[string]string{v1alpha1.RolloutLabel: name, v1alpha1.RevisionLabel: revision},
			},
			Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To(count), Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "app", Image: "registry.example.com/bookinfo/reviews:" + revision}}}}},
			Status: appsv1.ReplicaSetStatus{Replicas: count, ReadyReplicas: count, AvailableReplicas: count},
		}
		objects = append(objects, set)
		for n := range count {
			objects = append(objects, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name: fmt.Sprintf("%s-k7x2%d", set.Name, n), Namespace: rollout.Namespace, CreationTimestamp: metav1.NewTime(began),
					Labels:          map[string]string{"app": name, v1alpha1.RevisionLabel: revision},
					OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: set.Name, Controller: ptr.To(true)}},
				},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
			})
		}
	}
	return objects
}
