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
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

const (
	// following is how long watchers need to catch up with what they missed.
	following = time.Second
	// failing is how long a pod fails, and how long the script waits after killing one: losses from the death of a
	// pod are excused for a second, so for that long nothing may keep others from learning of it.
	failing = 1500 * time.Millisecond
)

// stopAPI pauses the API server. If an outage is longer than a terminating pod lives, requests to that pod are lost
// whatever anyone does, so such pods must be out of the endpoints first.
func (d *driver) stopAPI(outage time.Duration) {
	d.t.Helper()
	if outage >= grace*time.Second {
		d.awaitEndpoints()
		d.awaitNoEnds()
	}
	from := time.Now()
	if err := env.Cluster.StopAPIServer(d.t.Context(), outage, nil); err != nil {
		d.t.Fatal(err)
	}
	d.pass(following)
	d.late = append(d.late, rules.Span{From: from, To: time.Now()})
}

// awaitNoEnds waits until no pod has been deleted for some seconds.
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

// delayEndpoints pauses the EndpointSlice controller for a while, in the background.
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

// awaitEndpoints waits until late endpoints have caught up.
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

// killPod ends one of several ready pods of a revision. Requests to it in that second may be lost, unless it is
// deleted gracefully.
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

// excuse waits for the time in which requests to the pod may be lost, and in which its endpoint is removed.
func (d *driver) excuse(pod *corev1.Pod, from time.Time) {
	d.t.Helper()
	d.excuses = append(d.excuses, harness.KilledPod(pod.Name, time.Now()))
	d.pass(failing)
	d.killed = append(d.killed, rules.Span{From: from, To: time.Now()})
}

// victim chooses a pod that is not the only one to answer. It returns nil if there is none.
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

// living returns the pods that are not terminating.
func living(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
}

// pods returns the pods of a revision, or all if revision is empty, sorted by name.
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

// remove deletes a pod if it still exists.
func (d *driver) remove(pod *corev1.Pod, options ...client.DeleteOption) {
	d.t.Helper()
	if err := env.Admin.Delete(d.t.Context(), pod.DeepCopy(), options...); client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	}
}

// mark makes a pod fail its readiness probe, or recover, if it still exists.
func (d *driver) mark(pod *corev1.Pod, fails string) {
	d.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, cluster.Fail, fails)
	err := env.Admin.Patch(d.t.Context(), pod.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch)))
	if client.IgnoreNotFound(err) != nil {
		d.t.Fatal(err)
	}
}
