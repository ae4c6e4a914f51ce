// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// jobRights name the manifests of the rights that --allow-jobs takes.
var jobRights = []string{"-f", "../../config/rbac/jobs_role.yaml", "-f", "../../config/rbac/jobs_role_binding.yaml"}

// smokeStep waits for a Job.
func smokeStep() v1alpha1.Step {
	return builder.Gate(time.Hour, v1alpha1.Metric{Name: "smoke", MetricSource: v1alpha1.MetricSource{Job: &v1alpha1.JobMetric{
		Template: runtime.RawExtension{Raw: []byte(`{"spec":{"template":{"spec":{
			"restartPolicy":"Never","terminationGracePeriodSeconds":0,
			"containers":[{"name":"smoke","image":"smoke","args":["http://{{canaryService}}"]}]}}}}`)},
	}}})
}

// The ends of a pod, as a kubelet reports them.
const (
	succeeded = `{"status":{"phase":"Succeeded"}}`
	failed    = `{"status":{"phase":"Failed"}}`
	evicted   = `{"status":{"phase":"Failed","reason":"Evicted","conditions":[{"type":"DisruptionTarget","status":"True","reason":"EvictionByEvictionAPI"}]}}`
)

// runningJob waits until exactly one Job of the rollout has not finished and has a running pod.
func (a *app) runningJob() (job batchv1.Job, pod corev1.Pod) {
	a.t.Helper()
	a.within(patience, "a Job with a running pod", func() (bool, string) {
		jobs := &batchv1.JobList{}
		if err := env.Admin.List(a.t.Context(), jobs, client.InNamespace(a.namespace), client.MatchingLabels{v1alpha1.RolloutLabel: a.name}); err != nil {
			a.t.Fatal(err)
		}
		var running []batchv1.Job
		for _, found := range jobs.Items {
			if found.Status.Active > 0 {
				running = append(running, found)
			}
		}
		if len(running) != 1 {
			return false, fmt.Sprintf("%d of %d Jobs have a pod", len(running), len(jobs.Items))
		}
		job = running[0]
		pods := &corev1.PodList{}
		if err := env.Admin.List(a.t.Context(), pods, client.InNamespace(a.namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name}); err != nil {
			a.t.Fatal(err)
		}
		for _, found := range pods.Items {
			if found.Status.Phase == corev1.PodRunning {
				pod = found
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d pods of %s, and none runs", len(pods.Items), job.Name)
	})
	return job, pod
}

// end ends a pod, which no kubelet runs.
func (a *app) end(pod corev1.Pod, how string) {
	a.t.Helper()
	if err := env.Admin.Status().Patch(a.t.Context(), &pod, client.RawPatch(types.StrategicMergePatchType, []byte(how))); err != nil {
		a.t.Fatal(err)
	}
}

// TestJobMetric: with the shipped rights and policies, the manager runs the Job of an analysis step, and its end decides about the
// release. A pod that is evicted does not. The Job of an attempt that is over is deleted; finished ones stay for their logs.
func TestJobMetric(t *testing.T) {
	a := deployed(t, builder.Weight(50), smokeStep(), builder.Hold())
	a.setImage(builder.ImageV2)
	good, pod := a.runningJob()
	if !metav1.IsControlledBy(&good, a.rollout()) || good.Spec.TTLSecondsAfterFinished == nil || pod.Spec.Containers[0].Args[0] != "http://reviews-canary" {
		t.Errorf("the Job is %+v, its pod %+v", good, pod.Spec)
	}
	a.end(pod, evicted)
	if again, another := a.runningJob(); again.Name != good.Name || another.Name == pod.Name {
		t.Errorf("pod %s of Job %s follows pod %s of Job %s", another.Name, again.Name, pod.Name, good.Name)
	} else {
		a.end(another, succeeded)
	}
	a.waitForStep(v1alpha1.StatePaused, "3/3")
	a.annotate(promote, "true")
	a.waitForStable(builder.ImageV2)

	a.setImage(builder.ImageV3)
	bad, pod := a.runningJob()
	a.end(pod, failed)
	aborted := a.waitForState(v1alpha1.StateAborted)
	if want := "metric smoke failed: the Job " + bad.Name + " failed: "; !strings.Contains(aborted.Status.Message, want) {
		t.Errorf("aborted with the message %q, want %q", aborted.Status.Message, want)
	}
	a.checkTraffic("100/0")

	a.annotate(retry, "true")
	unwanted, _ := a.runningJob()
	a.annotate(abort, "true")
	a.waitForState(v1alpha1.StateAborted)
	a.within(patience, "the Job "+unwanted.Name+" to go", func() (bool, string) {
		err := env.Admin.Get(t.Context(), a.key(unwanted.Name), &batchv1.Job{})
		return apierrors.IsNotFound(err), fmt.Sprint(err)
	})
	for _, name := range []string{good.Name, bad.Name} {
		a.get(name, &batchv1.Job{})
	}
	a.within(patience, "its pod to go", func() (bool, string) {
		left := a.pods(batchv1.JobNameLabel + "=" + unwanted.Name)
		return len(left) == 0, fmt.Sprint(left)
	})
}
