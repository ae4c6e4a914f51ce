// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/json"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// A Job is looked at less and less often.
	minPoll, maxPoll = 2 * time.Second, 10 * time.Second
	// startTimeout is how long a Job may have no ready pod until that is reported, and until it is reported again. A Job that is
	// refused is tried again after that time.
	startTimeout = 30 * time.Second
	// requestTimeout limits the requests to the API server for one look at a Job.
	requestTimeout = 10 * time.Second
	// A finished Job stays for its logs, and long enough for its result to be seen.
	defaultTTL, minTTL = 3600, 60
	// jobWorkers is how many Jobs are checked at a time. A request to create one may last until requestTimeout, because of a webhook
	// that does not answer, and must not delay the Jobs of other rollouts.
	jobWorkers = 10
	// maxDeletions is how often the deletion of a Job is tried. Its TTL, or its owner reference, deletes it at the latest.
	maxDeletions = 5
)

// Jobs are the clients that Jobs take.
type Jobs struct {
	// Rollout reads a rollout from a cache.
	Rollout func(ctx context.Context, key types.NamespacedName) (metav1.Object, error)
	// Live reads Jobs from the API server: they are not watched.
	Live client.Reader
	// Writer creates and deletes Jobs.
	Writer client.Writer
}

// jobState is what is known of a Job between two looks at it.
type jobState struct {
	poll time.Duration
	// waitsSince is since when the Job has been seen without a ready pod, or when that was reported; zero if it has started.
	waitsSince time.Time
	hasStarted bool
}

// jobRunner runs Jobs.
type jobRunner struct {
	Jobs
	*Runner

	lane *lane

	deleting sync.Mutex
	// deletions counts the failed deletions of a Job.
	deletions map[key]int
}

func newJobRunner(r *Runner, jobs Jobs) *jobRunner {
	j := &jobRunner{Jobs: jobs, Runner: r, lane: &lane{workers: jobWorkers}, deletions: map[key]int{}}
	j.lane.process = j.process
	return j
}

// process looks at a Job that is wanted, or deletes one that is not. A key is never processed twice at a time, so a Job is not
// created after it was deleted.
func (j *jobRunner) process(ctx context.Context, key key) {
	if !j.isWanted(key) {
		j.remove(ctx, key)
		return
	}
	measuring, t, wanted := j.take(ctx, key)
	if t == nil {
		return
	}
	timeout, cancel := context.WithTimeout(measuring, requestTimeout)
	defer cancel()
	result, isFinal := j.look(timeout, t, wanted.Job.Template)
	if measuring.Err() != nil {
		result, isFinal = nil, false
	}
	j.end(t, result, isFinal)
}

func (j *jobRunner) isWanted(key key) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	w := j.rollouts[key.rollout]
	return w != nil && w.task(key) != nil
}

// look creates the Job if it does not exist, and returns its result so far. It sets when to look again.
func (j *jobRunner) look(ctx context.Context, t *task, template string) (*plan.Measured, bool) {
	job, err := j.find(ctx, t.key, template)
	if err != nil && !errors.Is(err, errDeleting) {
		j.lookAgain(t, startTimeout)
		reason := v1alpha1.ReasonJobNotStarted
		if errors.Is(err, errInvalidTemplate) {
			reason = v1alpha1.ReasonInvalidMetric
		}
		result := failed(reason, "the Job %s cannot be started: %s", jobName(t.key), clean(err.Error(), maxText))
		return &result, false
	}
	t.job.poll = min(max(minPoll, t.job.poll*3/2), maxPoll)
	j.lookAgain(t, t.job.poll)
	if err != nil {
		return nil, false
	}
	return t.job.judge(job, now())
}

func (j *jobRunner) lookAgain(t *task, after time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t.due = now().Add(after)
}

// judge returns the result of a Job so far; nil if it has none.
func (s *jobState) judge(job *batchv1.Job, at time.Time) (*plan.Measured, bool) {
	s.hasStarted = s.hasStarted || ptr.Deref(job.Status.Ready, 0) > 0
	for _, condition := range job.Status.Conditions {
		switch {
		case condition.Status != corev1.ConditionTrue:
		case condition.Type == batchv1.JobComplete:
			result := judged(true, fmt.Sprintf("the Job %s completed", job.Name))
			return &result, true
		case condition.Type == batchv1.JobFailed && condition.Reason == batchv1.JobReasonDeadlineExceeded && !s.hasStarted:
			result := notStarted(job, "its deadline passed before")
			return &result, true
		case condition.Type == batchv1.JobFailed:
			result := judged(false, fmt.Sprintf("the Job %s failed: %s", job.Name, clean(condition.Message, maxText)))
			return &result, true
		}
	}
	switch {
	case s.hasStarted || job.Status.Failed > 0 || job.Status.Succeeded > 0:
		s.waitsSince = time.Time{}
	case s.waitsSince.IsZero():
		s.waitsSince = at
	case at.Sub(s.waitsSince) >= startTimeout:
		s.waitsSince = at
		why := "for " + startTimeout.String()
		if ptr.Deref(job.Spec.Suspend, false) {
			why = "because the Job is suspended"
		}
		result := notStarted(job, why)
		return &result, false
	}
	return nil, false
}

func notStarted(job *batchv1.Job, why string) plan.Measured {
	return failed(v1alpha1.ReasonJobNotStarted, "no pod of the Job %s was ready %s: see kubectl -n %s describe pods -l batch.kubernetes.io/job-name=%[1]s",
		job.Name, why, job.Namespace)
}

// find returns the Job of a key. It creates the Job if there is none.
func (j *jobRunner) find(ctx context.Context, key key, template string) (*batchv1.Job, error) {
	rollout, err := j.Rollout(ctx, key.rollout)
	if err != nil {
		return nil, err
	}
	job := &batchv1.Job{}
	err = j.Live.Get(ctx, client.ObjectKey{Namespace: key.rollout.Namespace, Name: jobName(key)}, job)
	switch {
	case apierrors.IsNotFound(err):
		if job, err = newJob(template, rollout, key); err != nil {
			return nil, err
		}
		return job, j.Writer.Create(ctx, job)
	case err != nil:
		return nil, err
	case !metav1.IsControlledBy(job, rollout):
		return nil, errors.New("there is a Job of this name that is not the rollout's: delete or rename it")
	case job.DeletionTimestamp != nil:
		return nil, errDeleting
	}
	return job, nil
}

var (
	rolloutKind = v1alpha1.GroupVersion.WithKind("CanaryRollout")
	// errInvalidTemplate is an error of the template of a Job.
	errInvalidTemplate = errors.New("the template of the Job is invalid")
	// errDeleting is returned while a former Job of the same name is being deleted.
	errDeleting = errors.New("the Job is being deleted")
)

// disruptionsDoNotCount replaces a pod that was evicted, preempted or lost with its node: that says nothing about the canary. The API
// server accepts it only for pods that are never restarted, and are not replaced before they have ended.
var disruptionsDoNotCount = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
	Action:          batchv1.PodFailurePolicyActionIgnore,
	OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
}}}

// newJob returns the Job of a key.
func newJob(template string, rollout metav1.Object, key key) (*batchv1.Job, error) {
	var parsed batchv1.JobTemplateSpec
	unknown, err := json.UnmarshalStrict([]byte(template), &parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalidTemplate, err)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w: %w", errInvalidTemplate, unknown[0])
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.rollout.Namespace, Name: jobName(key), Labels: parsed.Labels, Annotations: parsed.Annotations,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rollout, rolloutKind)},
	}, Spec: parsed.Spec}
	metav1.SetMetaDataLabel(&job.ObjectMeta, v1alpha1.RolloutLabel, key.rollout.Name)
	if job.Spec.BackoffLimit == nil {
		job.Spec.BackoffLimit = ptr.To(int32(0))
	}
	if job.Spec.PodFailurePolicy == nil && job.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyNever &&
		ptr.Deref(job.Spec.PodReplacementPolicy, batchv1.Failed) == batchv1.Failed {
		job.Spec.PodFailurePolicy = disruptionsDoNotCount.DeepCopy()
	}
	job.Spec.TTLSecondsAfterFinished = ptr.To(max(ptr.Deref(job.Spec.TTLSecondsAfterFinished, defaultTTL), minTTL))
	return job, nil
}

// jobName returns the name of a Job: the beginning of the names of rollout and metric, for people, and a hash of its identity.
func jobName(key key) string {
	id := key.id
	hash := sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %q %q %d", key.rollout.Name, id.Revision, id.Attempt, id.Step, id.Metric, id.Definition, id.Since))
	const hashed = 10
	suffix := "-" + strings.ToLower(base32.StdEncoding.EncodeToString(hash[:]))[:hashed]
	const maxJobName = 63
	metric := "-" + id.Metric
	name := key.rollout.Name
	name = name[:min(len(name), maxJobName-len(suffix)-len(metric))]
	return strings.ReplaceAll(strings.TrimRight(name, "-."), ".", "-") + metric + suffix
}

// remove deletes the Job of a key, unless it has finished: then it stays for its logs until its TTL.
func (j *jobRunner) remove(ctx context.Context, key key) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := j.delete(ctx, key)
	j.deleting.Lock()
	defer j.deleting.Unlock()
	if err == nil {
		delete(j.deletions, key)
		return
	}
	if j.deletions[key]++; j.deletions[key] < maxDeletions {
		j.lane.queue.AddAfter(key, maxPoll)
		return
	}
	delete(j.deletions, key)
	log.FromContext(ctx).Error(err, "A Job that is no longer wanted cannot be deleted: it stays until its TTL after its end, or until its rollout is deleted",
		"namespace", key.rollout.Namespace, "job", jobName(key))
}

func (j *jobRunner) delete(ctx context.Context, key key) error {
	job := &batchv1.Job{}
	err := j.Live.Get(ctx, client.ObjectKey{Namespace: key.rollout.Namespace, Name: jobName(key)}, job)
	if err != nil || job.DeletionTimestamp != nil || job.Labels[v1alpha1.RolloutLabel] != key.rollout.Name || isFinished(job) {
		return client.IgnoreNotFound(err)
	}
	return client.IgnoreNotFound(j.Writer.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: ptr.To(job.UID)}))
}

func isFinished(job *batchv1.Job) bool {
	for _, condition := range job.Status.Conditions {
		if condition.Status == corev1.ConditionTrue && (condition.Type == batchv1.JobComplete || condition.Type == batchv1.JobFailed) {
			return true
		}
	}
	return false
}
