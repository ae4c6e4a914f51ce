// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	revisions "github.com/canaryrollout/canaryrollout/controllers/revision"
)

// Item is a rollout in a list, for a program that shows it. Times are absolute, so that it changes only if the rollout does.
type Item struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State is Unknown before the operator's first pass over the rollout.
	State    string                   `json:"state"`
	Step     string                   `json:"step,omitempty"`
	Weight   *v1alpha1.RevisionWeight `json:"weight,omitempty"`
	Revision string                   `json:"revision,omitempty"`
	Ready    string                   `json:"ready,omitempty"`
	Images   string                   `json:"images,omitempty"`
	// Message says what the rollout waits for.
	Message   string    `json:"message,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	// Outdated is true if the operator has not processed the last change of the spec.
	Outdated bool `json:"outdated,omitempty"`
}

// NewItem returns a rollout as an item. flags are the connection flags for commands in the message.
func NewItem(rollout *v1alpha1.CanaryRollout, flags string) Item {
	status := rollout.Status
	return Item{
		Namespace: rollout.Namespace, Name: rollout.Name, State: stateWord(status), Step: status.Step,
		Weight: status.RevisionWeight, Revision: status.Revision, Ready: status.Ready, Images: status.Images,
		Message: Message(rollout, flags), CreatedAt: rollout.CreationTimestamp.UTC(),
		Outdated: status.ObservedGeneration != rollout.Generation,
	}
}

// Page is all that is shown of one rollout, for a program that shows it.
type Page struct {
	Item
	Phase v1alpha1.Phase `json:"phase,omitempty"`
	// CurrentStep is the index of the current step, the number of steps when all are done, and -1 outside of a release.
	CurrentStep int        `json:"currentStep"`
	Steps       []PageStep `json:"steps"`
	Pause       *Pause     `json:"pause,omitempty"`
	// Traffic is absent before the first release.
	Traffic   *v1alpha1.TrafficStatus `json:"traffic,omitempty"`
	Metrics   []Metric                `json:"metrics"`
	Revisions []Revision              `json:"revisions"`
	History   []v1alpha1.HistoryEntry `json:"history"`
	// Trouble says why pods that should serve are not ready.
	Trouble string `json:"trouble,omitempty"`
}

// PageStep is a step of a release.
type PageStep struct {
	// What is the step in a few words, beginning with its name in the manifest; Details are what does not fit there.
	What    string `json:"what"`
	Details string `json:"details,omitempty"`
	// Weight is the share in percent that the steps up to this one ask for.
	Weight int32 `json:"weight"`
	// UntilPromoted is true for a pause that only a person ends.
	UntilPromoted bool `json:"untilPromoted,omitempty"`
	// StartedAt and EndedAt are of the release in flight or the last one. StartedAt is absent if the step has not begun, EndedAt if it
	// has not ended. WaitingSeconds is how much of the time in between was spent waiting, without a pause in progress.
	StartedAt      *time.Time `json:"startedAt,omitempty"`
	EndedAt        *time.Time `json:"endedAt,omitempty"`
	WaitingSeconds int64      `json:"waitingSeconds,omitempty"`
}

// Pause is a pause at which a rollout is.
type Pause struct {
	// Reason is PauseStep or SpecPaused.
	Reason    string     `json:"reason"`
	StartedAt *time.Time `json:"startedAt,omitempty"`
	// Until is absent if only a person ends the pause. Then is what follows a timeout.
	Until *time.Time `json:"until,omitempty"`
	Then  string     `json:"then,omitempty"`
}

// Metric is a metric of the release in flight, or of an aborted one.
type Metric struct {
	v1alpha1.MetricStatus
	// Word is the verdict in a word, also if there is none yet.
	Word string `json:"word"`
}

// Revision is a pod template with its pods.
type Revision struct {
	Name string `json:"name"`
	// Role is stable, canary, first deploy, aborted, superseded, draining or former.
	Role   string   `json:"role"`
	Images []string `json:"images"`
	Ready  int32    `json:"ready"`
	// Desired is the number of pods that there should be; Total is how many there are.
	Desired      int32      `json:"desired"`
	Total        int32      `json:"total"`
	CreatedAt    *time.Time `json:"createdAt,omitempty"`
	ScaledDownAt *time.Time `json:"scaledDownAt,omitempty"`
	Pods         []Pod      `json:"pods"`
}

// Pod is a pod of a revision.
type Pod struct {
	Name string `json:"name"`
	// Reason is what the pod waits for or why it failed, otherwise its phase; Message says more.
	Reason  string `json:"reason"`
	Message string `json:"message,omitempty"`
	// IsReady is true if the pod is ready and stays; HasFailed if waiting does not help.
	IsReady   bool      `json:"isReady,omitempty"`
	HasFailed bool      `json:"hasFailed,omitempty"`
	Restarts  int32     `json:"restarts,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
}

// Page returns all that is shown of a rollout.
func (r Rollout) Page() Page {
	return Page{
		Item: NewItem(r.Object, r.Flags), Phase: r.phase(), CurrentStep: r.currentStep(), Steps: r.pageSteps(), Pause: r.pagePause(),
		Traffic: r.Object.Status.Traffic, Metrics: r.pageMetrics(), Revisions: r.pageRevisions(),
		History: append([]v1alpha1.HistoryEntry{}, r.Object.Status.History...), Trouble: r.trouble(),
	}
}

func (r Rollout) phase() v1alpha1.Phase {
	if memory := r.Object.Status.Memory; memory != nil {
		return memory.Phase
	}
	return ""
}

func (r Rollout) pageSteps() []PageStep {
	steps, weight := []PageStep{}, int32(0)
	for i := range r.Object.Spec.Steps {
		step := &r.Object.Spec.Steps[i]
		what, details := plan.Describe(step)
		if step.SetWeight != nil {
			weight = *step.SetWeight
		}
		isOpen := step.Pause != nil && step.Pause.Duration == nil
		steps = append(steps, PageStep{What: what, Details: strings.TrimSpace(details), Weight: weight, UntilPromoted: isOpen})
	}
	for _, entry := range r.Object.Status.StepHistory {
		index := int(entry.Step) - 1
		if entry.StartedAt == nil || index < 0 || index >= len(steps) {
			continue // the steps were edited since
		}
		step := &steps[index]
		step.StartedAt, step.WaitingSeconds = utc(entry.StartedAt.Time), entry.WaitingSeconds
		if entry.EndedAt != nil {
			step.EndedAt = utc(entry.EndedAt.Time)
		}
	}
	return steps
}

func (r Rollout) pagePause() *Pause {
	pause := r.Object.Status.Pause
	if pause == nil {
		return nil
	}
	shown := &Pause{Reason: pause.Reason}
	if pause.StartedAt != nil {
		shown.StartedAt = utc(pause.StartedAt.Time)
	}
	if pause.Until != nil {
		shown.Until = utc(pause.Until.Time)
	}
	if _, step := plan.CurrentStep(r.Object); step != nil && step.Timeout != nil {
		shown.Then = string(step.OnTimeout)
	}
	return shown
}

// utc returns nil for an unknown time.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (r Rollout) pageMetrics() []Metric {
	metrics := []Metric{}
	if !r.showsAnalysis() {
		return metrics
	}
	for i := range r.Object.Status.Analysis {
		metric := &r.Object.Status.Analysis[i]
		_, word := verdictLook(metric)
		metrics = append(metrics, Metric{MetricStatus: *metric, Word: word})
	}
	return metrics
}

func (r Rollout) pageRevisions() []Revision {
	shown := []Revision{}
	for _, v := range r.revisions() {
		revision := Revision{Name: v.name, Role: string(v.role), Images: []string{}, ScaledDownAt: utc(v.scaledDownAt), Pods: []Pod{}}
		if v.set != nil {
			revision.Images, revision.CreatedAt = append(revision.Images, imagesOf(v.set)...), utc(v.created())
			revision.Ready, revision.Desired, revision.Total = v.set.Status.ReadyReplicas, desiredReplicas(v.set), v.set.Status.Replicas
		}
		for i := range v.pods {
			revision.Pods = append(revision.Pods, newPod(&v.pods[i]))
		}
		shown = append(shown, revision)
	}
	return shown
}

func newPod(pod *corev1.Pod) Pod {
	look, reason := podLook(pod)
	_, message := revisions.UnreadyReason(pod)
	shown := Pod{
		Name: pod.Name, Reason: reason, Message: cmp.Or(message, pod.Status.Message), CreatedAt: pod.CreationTimestamp.UTC(),
		IsReady: look.color == green, HasFailed: look.color == red,
	}
	for _, container := range pod.Status.ContainerStatuses {
		shown.Restarts += container.RestartCount
	}
	return shown
}
