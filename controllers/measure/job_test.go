// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

// smoke is a wanted Job.
func smoke(number int32) plan.Measurement {
	return plan.Measurement{
		ID:  plan.MeasurementID{Revision: "b", Attempt: 1, Step: 2, Metric: "smoke", Definition: "d", Number: number},
		Job: &plan.JobRequest{Template: `{"metadata":{"labels":{"team":"x"}},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}`},
	}
}

// jobHarness is a Runner with Jobs.
type jobHarness struct {
	*Runner
	client.Client
	t *testing.T
	// isFull lets a quota refuse Jobs.
	isFull           atomic.Bool
	creates, deletes atomic.Int64
	woken            *atomic.Int64
	stop             func()
}

func withJobs(t *testing.T) *jobHarness {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: reviews.Namespace, Name: reviews.Name, UID: "u1"}}
	h := &jobHarness{t: t}
	h.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(rollout).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			h.creates.Add(1)
			if _, isJob := object.(*batchv1.Job); isJob && object.GetNamespace() == "slow" {
				<-ctx.Done() // a webhook does not answer
				return ctx.Err()
			}
			if h.isFull.Load() {
				return apierrors.NewForbidden(batchv1.Resource("jobs"), object.GetName(), errors.New("exceeded quota"))
			}
			object.SetUID("j1")
			return c.Create(ctx, object, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.DeleteOption) error {
			h.deletes.Add(1)
			options := (&client.DeleteOptions{}).ApplyOptions(opts)
			if *options.PropagationPolicy != metav1.DeletePropagationBackground {
				t.Errorf("propagation %v: the pods would stay", *options.PropagationPolicy)
			}
			return c.Delete(ctx, object, opts...)
		},
	}).Build()
	h.Runner = NewRunner(Providers{}, &Jobs{Rollout: h.rollout, Live: h.Client, Writer: h.Client})
	h.woken, h.stop = start(t, h.Runner)
	return h
}

func (h *jobHarness) rollout(ctx context.Context, key types.NamespacedName) (metav1.Object, error) {
	rollout := &v1alpha1.CanaryRollout{}
	return rollout, h.Get(ctx, key, rollout)
}

// job returns the only Job.
func (h *jobHarness) job() *batchv1.Job {
	h.t.Helper()
	jobs := &batchv1.JobList{}
	if err := h.List(h.t.Context(), jobs); err != nil || len(jobs.Items) != 1 {
		h.t.Fatalf("%d Jobs, %v", len(jobs.Items), err)
	}
	return &jobs.Items[0]
}

// status sets the status of the Job.
func (h *jobHarness) status(status batchv1.JobStatus) {
	h.t.Helper()
	job := h.job()
	job.Status = status
	if err := h.Status().Update(h.t.Context(), job); err != nil {
		h.t.Fatal(err)
	}
}

// result returns the only result.
func (h *jobHarness) result() plan.Measured {
	h.t.Helper()
	results := h.Results(reviews)
	if len(results) != 1 {
		h.t.Fatalf("results %+v", results)
	}
	return results[0]
}

func ended(kind batchv1.JobConditionType, reason, message string) batchv1.JobStatus {
	return batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message}}}
}

// TestJob checks that a Job is created once, that it is not restarted when it is wanted under the next number, and what its end
// means.
func TestJob(t *testing.T) {
	for name, tc := range map[string]struct {
		status  batchv1.JobStatus
		outcome plan.MeasurementOutcome
		value   string
	}{
		"complete": {ended(batchv1.JobComplete, "", ""), plan.OutcomeGood, "completed"},
		"failed":   {ended(batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached\nthe specified backoff limit"), plan.OutcomeBad, "failed: Job has reached the specified backoff limit"},
		"too late": {ended(batchv1.JobFailed, "DeadlineExceeded", "Job was active longer than specified deadline"), plan.OutcomeBad, "failed: Job was active"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := withJobs(t)
				defer h.stop()
				h.Want(reviews, []plan.Measurement{smoke(0)})
				time.Sleep(time.Second)
				job := h.job()
				if job.Namespace != reviews.Namespace || job.Labels[v1alpha1.RolloutLabel] != reviews.Name || job.Labels["team"] != "x" ||
					job.OwnerReferences[0].UID != "u1" || *job.Spec.BackoffLimit != 0 || *job.Spec.TTLSecondsAfterFinished != 3600 ||
					job.Spec.PodFailurePolicy == nil || !strings.HasPrefix(job.Name, "reviews-smoke-") {
					t.Errorf("the Job is %+v", job)
				}
				h.status(batchv1.JobStatus{Active: 1, Ready: ptr.To(int32(1))})
				time.Sleep(time.Hour)
				if got := h.Results(reviews); got != nil || h.woken.Load() != 0 {
					t.Errorf("results %+v of a Job that runs, %d events", got, h.woken.Load())
				}
				h.status(tc.status)
				time.Sleep(maxPoll)
				h.Want(reviews, []plan.Measurement{smoke(1)})
				got := h.result()
				if got.Outcome != tc.outcome || !strings.Contains(got.Value, tc.value) || got.ID != smoke(1).ID || h.woken.Load() != 1 || h.creates.Load() != 1 {
					t.Errorf("result %+v, %d events, %d creations", got, h.woken.Load(), h.creates.Load())
				}
				h.Want(reviews, nil)
				time.Sleep(time.Minute)
				h.job() // it stays for its logs
			})
		})
	}
}

// TestJobNotStarted checks that a Job whose pod does not start is no verdict. It is reported every 30 seconds, and the Job goes on.
func TestJobNotStarted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		defer h.stop()
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(time.Second)
		h.status(batchv1.JobStatus{Active: 1})
		reported := time.Now()
		for number := range int32(3) {
			for range 100 {
				if time.Sleep(time.Second); h.Results(reviews) != nil {
					break
				}
			}
			if took := time.Since(reported); took < startTimeout-2*time.Second || took > startTimeout+maxPoll {
				t.Errorf("it is reported after %s", took)
			}
			reported = time.Now()
			got := h.result()
			if got.Outcome != plan.OutcomeError || got.Problem.Reason != v1alpha1.ReasonJobNotStarted || got.ID != smoke(number).ID || h.woken.Load() != int64(number)+1 ||
				!strings.Contains(got.Problem.Message, "was ready for 30s: see kubectl -n bookinfo describe pods -l batch.kubernetes.io/job-name=reviews-smoke-") {
				t.Errorf("result %+v, %+v, %d events", got, got.Problem, h.woken.Load())
			}
			h.Want(reviews, []plan.Measurement{smoke(number + 1)})
			if got := h.Results(reviews); got != nil {
				t.Errorf("the result counts again: %+v", got)
			}
		}
		h.status(ended(batchv1.JobComplete, "", ""))
		time.Sleep(maxPoll)
		if got := h.result(); got.Outcome != plan.OutcomeGood || h.creates.Load() != 1 {
			t.Errorf("result %+v, %d creations", got, h.creates.Load())
		}
	})
}

// TestJobDeadline checks that a Job that had no ready pod until its deadline is no verdict either.
func TestJobDeadline(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		defer h.stop()
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(time.Second)
		h.status(ended(batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded, ""))
		time.Sleep(maxPoll)
		if got := h.result(); got.Outcome != plan.OutcomeError || got.Problem.Reason != v1alpha1.ReasonJobNotStarted {
			t.Errorf("result %+v", got)
		}
		h.Want(reviews, []plan.Measurement{smoke(1)})
		time.Sleep(startTimeout - time.Second)
		if got := h.Results(reviews); got != nil {
			t.Errorf("the result counts again at once: %+v", got)
		}
	})
}

// TestJobRefused checks that a Job that is refused is reported, tried again every 30 seconds, and started when it is allowed.
func TestJobRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		defer h.stop()
		h.isFull.Store(true)
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(10*startTimeout - time.Second)
		if got := h.result(); got.Outcome != plan.OutcomeError || got.Problem.Reason != v1alpha1.ReasonJobNotStarted || !strings.Contains(got.Problem.Message, "exceeded quota") {
			t.Errorf("result %+v", got)
		}
		if h.creates.Load() != 10 || h.woken.Load() != 1 {
			t.Errorf("%d creations and %d events in 5 minutes", h.creates.Load(), h.woken.Load())
		}
		h.isFull.Store(false)
		time.Sleep(startTimeout)
		h.status(ended(batchv1.JobComplete, "", ""))
		time.Sleep(maxPoll)
		if got := h.result(); got.Outcome != plan.OutcomeGood || h.woken.Load() != 2 {
			t.Errorf("result %+v, %d events", got, h.woken.Load())
		}
	})
}

// TestJobsOfOthers checks that a webhook that does not answer in one namespace does not delay the Jobs of others.
func TestJobsOfOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		defer h.stop()
		for i := range jobWorkers - 1 {
			slow := types.NamespacedName{Namespace: "slow", Name: fmt.Sprint("rollout-", i)}
			if err := h.Create(t.Context(), &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: slow.Namespace, Name: slow.Name}}); err != nil {
				t.Fatal(err)
			}
			h.Want(slow, []plan.Measurement{smoke(0)})
		}
		time.Sleep(time.Second)
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(time.Second)
		h.status(ended(batchv1.JobFailed, "BackoffLimitExceeded", "it failed"))
		time.Sleep(minPoll)
		if got := h.result(); got.Outcome != plan.OutcomeBad {
			t.Errorf("result %+v", got)
		}
	})
}

// TestJobTemplate checks that a template with a mistake is reported, rather than run without the part that is not understood.
func TestJobTemplate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		defer h.stop()
		wanted := smoke(0)
		wanted.Job.Template = `{"spec":{"templates":{}}}`
		h.Want(reviews, []plan.Measurement{wanted})
		time.Sleep(time.Second)
		if got := h.result(); got.Problem.Reason != v1alpha1.ReasonInvalidMetric || !strings.Contains(got.Problem.Message, `unknown field "spec.templates"`) || h.creates.Load() != 0 {
			t.Errorf("result %+v, %+v", got, got.Problem)
		}
	})
}

// TestJobDeleted checks that a Job is deleted when it is no longer wanted, also one that a former process has created, and that
// a Job of somebody else is neither used nor deleted.
func TestJobDeleted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := withJobs(t)
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(time.Second)
		h.stop()
		h.job()
		h.Runner = NewRunner(Providers{}, &Jobs{Rollout: h.rollout, Live: h.Client, Writer: h.Client})
		h.woken, h.stop = start(t, h.Runner)
		defer func() { h.stop() }()
		synctest.Wait()
		h.Want(reviews, []plan.Measurement{smoke(0)})
		h.Want(reviews, nil)
		time.Sleep(time.Second)
		jobs := &batchv1.JobList{}
		if err := h.List(t.Context(), jobs); err != nil || len(jobs.Items) != 0 || h.creates.Load() != 1 {
			t.Fatalf("%d Jobs after %d creations, %v", len(jobs.Items), h.creates.Load(), err)
		}
		foreign := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: reviews.Namespace, Name: jobName(key{reviews, taskID(smoke(0))})}}
		if err := h.Create(t.Context(), foreign); err != nil {
			t.Fatal(err)
		}
		h.Want(reviews, []plan.Measurement{smoke(0)})
		time.Sleep(time.Second)
		if got := h.result(); !strings.Contains(got.Problem.Message, "there is a Job of this name that is not the rollout's") {
			t.Errorf("result %+v", got.Problem)
		}
		h.Want(reviews, nil)
		time.Sleep(time.Second)
		if h.job(); h.deletes.Load() != 1 {
			t.Errorf("%d deletions", h.deletes.Load())
		}
	})
}

// TestNewJob checks what a Job gets that its template leaves open: every Job is deleted some time after its end, even if no
// manager knows of it, and a pod that is evicted does not count, where Kubernetes can tell.
func TestNewJob(t *testing.T) {
	rollout := &v1alpha1.CanaryRollout{ObjectMeta: metav1.ObjectMeta{Namespace: reviews.Namespace, Name: reviews.Name, UID: "u1"}}
	const own = `"podFailurePolicy":{"rules":[{"action":"FailJob","onPodConditions":[{"type":"DisruptionTarget"}]}]},`
	for name, tc := range map[string]struct {
		spec   string
		ttl    int32
		policy batchv1.PodFailurePolicyAction
	}{
		"nothing":        {`"template":{"spec":{"restartPolicy":"Never"}}`, defaultTTL, batchv1.PodFailurePolicyActionIgnore},
		"restarts":       {`"template":{"spec":{"restartPolicy":"OnFailure"}}`, defaultTTL, ""},
		"replaces early": {`"podReplacementPolicy":"TerminatingOrFailed","template":{"spec":{"restartPolicy":"Never"}}`, defaultTTL, ""},
		"replaces late":  {`"podReplacementPolicy":"Failed","template":{"spec":{"restartPolicy":"Never"}}`, defaultTTL, batchv1.PodFailurePolicyActionIgnore},
		"its own policy": {own + `"template":{"spec":{"restartPolicy":"Never"}}`, defaultTTL, batchv1.PodFailurePolicyActionFailJob},
		"a long TTL":     {`"ttlSecondsAfterFinished":86400,"template":{"spec":{"restartPolicy":"OnFailure"}}`, 86400, ""},
		"a short TTL":    {`"ttlSecondsAfterFinished":0,"template":{"spec":{"restartPolicy":"OnFailure"}}`, minTTL, ""},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := newJob(`{"spec":{`+tc.spec+`}}`, rollout, key{rollout: reviews})
			if err != nil {
				t.Fatal(err)
			}
			var action batchv1.PodFailurePolicyAction
			if policy := job.Spec.PodFailurePolicy; policy != nil {
				action = policy.Rules[0].Action
			}
			if *job.Spec.TTLSecondsAfterFinished != tc.ttl || action != tc.policy {
				t.Errorf("TTL %d, %q for disruptions", *job.Spec.TTLSecondsAfterFinished, action)
			}
		})
	}
}

// TestJobName checks that a name is valid for any rollout, and different for each run.
func TestJobName(t *testing.T) {
	names := map[string]bool{}
	base := plan.MeasurementID{Revision: "b", Attempt: 1, Step: 2, Metric: "smoke", Definition: "d"}
	ids := []plan.MeasurementID{base, base, base, base, base, base}
	ids[1].Revision, ids[2].Attempt, ids[3].Step, ids[4].Metric, ids[5].Definition = "c", 2, 3, "soak", "e"
	rollouts := []string{"reviews", "r", strings.Repeat("a", 253), strings.Repeat("a.", 126) + "a", strings.Repeat("a", 30) + ".b"}
	for _, id := range ids {
		for _, rollout := range rollouts {
			name := jobName(key{types.NamespacedName{Namespace: "n", Name: rollout}, id})
			if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
				t.Errorf("%q: %v", name, problems)
			}
			names[name] = true
		}
	}
	if len(names) != len(ids)*len(rollouts) {
		t.Errorf("%d different names", len(names))
	}
}
