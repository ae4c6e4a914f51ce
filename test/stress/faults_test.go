// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/cluster"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

const (
	// following is what watchers have to take in what they missed.
	following = time.Second
	// failing is how long a pod fails, and how long nothing else is done after one has gone: what is lost by the death of
	// a pod is excused for a second, so for as long nobody may be kept from learning of it.
	failing = 1500 * time.Millisecond
)

// stopAPI has the API server answer nobody. What a pod on its way out gets in an outage that is longer than it lives
// would be lost whatever anybody does, so before such a one they have to be out of the endpoints.
func (d *driver) stopAPI(outage time.Duration) {
	d.t.Helper()
	if outage >= grace*time.Second {
		d.awaitEndpoints()
		d.awaitNoEnds()
	}
	from := time.Now()
	if err := env.Cluster.StopAPIServer(d.t.Context(), outage); err != nil {
		d.t.Fatal(err)
	}
	d.pass(following)
	d.late = append(d.late, rules.Span{From: from, To: time.Now()})
}

// awaitNoEnds waits until no pod was asked to end for some seconds.
func (d *driver) awaitNoEnds() {
	d.t.Helper()
	d.Eventually("no pod to have just been deleted", func() (bool, string) {
		for _, pod := range d.pods("") {
			if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
				continue
			}
			asked := pod.DeletionTimestamp.Add(-time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second)
			if time.Since(asked) < 3*time.Second { // these times are in whole seconds
				return false, pod.Name
			}
		}
		return true, ""
	})
}

// delayEndpoints has the EndpointSlice controller stand still for a while, and does not wait for it.
func (d *driver) delayEndpoints(delay time.Duration) {
	d.t.Helper()
	d.awaitEndpoints()
	d.late = append(d.late, rules.Span{From: time.Now()})
	if err := env.Cluster.PauseEndpointSlices(); err != nil {
		d.t.Fatal(err)
	}
	caughtUp := make(chan time.Time, 1)
	d.catchUp = caughtUp
	ended := d.t.Context().Done()
	go func() {
		select {
		case <-time.After(delay):
		case <-ended:
		}
		if err := env.Cluster.ResumeEndpointSlices(); err != nil {
			d.t.Error(err)
		}
		select {
		case <-time.After(following):
		case <-ended:
		}
		caughtUp <- time.Now()
	}()
	d.t.Cleanup(d.awaitEndpoints)
}

// awaitEndpoints waits until endpoints that are late have caught up.
func (d *driver) awaitEndpoints() {
	if d.catchUp == nil {
		return
	}
	to := <-d.catchUp
	d.catchUp = nil
	for i := range d.late {
		if d.late[i].To.IsZero() {
			d.late[i].To = to
		}
	}
}

// killPod ends one of several ready pods of a revision. What it was asked for in that second may be lost, if it was not
// asked politely.
func (d *driver) killPod(step script.Step) (note string) {
	d.t.Helper()
	d.awaitEndpoints()
	role, way, _ := strings.Cut(step.What, " ")
	status := d.Get().Status
	revision := status.Stable.Revision
	if role == "canary" && status.Canary != nil {
		revision = status.Canary.Revision
	}
	pod := d.victim(revision, step.Number)
	if pod == nil {
		return "left out, as revision " + revision + " has less than two ready pods, or changes its size"
	}
	from := time.Now()
	switch way {
	case script.KillDelete:
		d.remove(pod)
	case script.KillCrash:
		d.remove(pod, client.GracePeriodSeconds(0))
		d.excuse(pod, from)
	case script.KillFail:
		d.mark(pod, "true")
		d.excuse(pod, from)
		d.mark(pod, "false")
	}
	return pod.Name
}

// excuse lets a second pass in which requests to the pod may be lost, and in which its endpoint goes.
func (d *driver) excuse(pod *corev1.Pod, from time.Time) {
	d.t.Helper()
	d.excuses = append(d.excuses, app.KilledPod(pod.Name, time.Now()))
	d.pass(failing)
	d.killed = append(d.killed, rules.Span{From: from, To: time.Now()})
}

// victim chooses a pod that is not the only one to answer; nil when there is none.
func (d *driver) victim(revision string, number int) *corev1.Pod {
	d.t.Helper()
	set := &appsv1.ReplicaSet{}
	key := client.ObjectKey{Namespace: d.Namespace, Name: "reviews-" + revision}
	if err := env.Admin.Get(d.t.Context(), key, set); client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	} else if err != nil {
		return nil
	}
	want := *set.Spec.Replicas
	if want < 2 || set.Status.Replicas != want || set.Status.ReadyReplicas != want {
		return nil
	}
	pods := living(d.pods(revision))
	if len(pods) == 0 {
		return nil
	}
	return &pods[number%len(pods)]
}

// living are the pods that are not on their way out.
func living(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// pods are those of a revision, or of all if it is empty, by their names.
func (d *driver) pods(revision string) []corev1.Pod {
	d.t.Helper()
	list := &corev1.PodList{}
	options := []client.ListOption{client.InNamespace(d.Namespace)}
	if revision != "" {
		options = append(options, client.MatchingLabels{v1alpha1.RevisionLabel: revision})
	}
	if err := env.Admin.List(d.t.Context(), list, options...); err != nil {
		d.t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(x, y corev1.Pod) int { return strings.Compare(x.Name, y.Name) })
	return list.Items
}

// remove deletes a pod, if it is still there.
func (d *driver) remove(pod *corev1.Pod, options ...client.DeleteOption) {
	d.t.Helper()
	if err := env.Admin.Delete(d.t.Context(), pod.DeepCopy(), options...); client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	}
}

// mark lets a pod fail its readiness probe, or recover, if it is still there.
func (d *driver) mark(pod *corev1.Pod, fails string) {
	d.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, cluster.Fail, fails)
	err := env.Admin.Patch(d.t.Context(), pod.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch)))
	if client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	}
}
