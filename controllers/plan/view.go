// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// view answers questions about a rollout, from what was observed and from one memory. It changes nothing. Actions are made
// from a view of the memory as last written, and cannot see the next one.
type view struct {
	in       *Input
	spec     settings
	mem      *v1alpha1.Memory
	strategy strategy
	// uses are the metrics that this pass has resolved so far. All views of a pass share them.
	uses map[metricUse]metric
}

// settings are the numbers of the spec, defaulted.
type settings struct {
	replicas, historyLimit           int32
	deadline, scaleDownDelay, settle time.Duration
	verifyTimeout                    time.Duration
}

func newSettings(spec *v1alpha1.CanaryRolloutSpec) settings {
	seconds := func(value *int32, fallback int32) time.Duration {
		return time.Duration(ptr.Deref(value, fallback)) * time.Second
	}
	return settings{
		replicas:       ptr.Deref(spec.Replicas, v1alpha1.DefaultReplicas),
		historyLimit:   min(ptr.Deref(spec.RevisionHistoryLimit, v1alpha1.DefaultRevisionHistoryLimit), v1alpha1.MaxRevisionHistoryLimit),
		deadline:       seconds(spec.ProgressDeadlineSeconds, v1alpha1.DefaultProgressDeadlineSeconds),
		scaleDownDelay: seconds(spec.ScaleDownDelaySeconds, v1alpha1.DefaultScaleDownDelaySeconds),
		settle:         seconds(spec.Traffic.SettleSeconds, v1alpha1.DefaultSettleSeconds),
		verifyTimeout:  seconds(spec.Traffic.VerifyTimeoutSeconds, v1alpha1.DefaultVerifyTimeoutSeconds),
	}
}

// newView returns the view of the memory as last written, updated to what this version expects.
func newView(in *Input, strategy strategy) view {
	v := view{in: in, spec: newSettings(&in.Spec), mem: &v1alpha1.Memory{}, strategy: strategy, uses: map[metricUse]metric{}}
	if in.Prior.Memory != nil {
		v.mem = in.Prior.Memory.DeepCopy()
		upgrade(v.mem, &in.Spec, in.Observed.StepsHash)
		v.mem.StepIndex = max(v.mem.StepIndex, 0)
		clampTimes(v.mem, in.Now)
	}
	if in.Spec.Replicas == nil {
		v.spec.replicas = v.runningSize()
	}
	return v
}

// until returns a gate that opens at that time.
func (v view) until(at time.Time) gate {
	if !v.in.Now.Before(at) {
		return gate{}
	}
	return gate{shut: true, opensAt: at}
}

// target returns the revision of spec.template; empty while it cannot be known.
func (v view) target() string { return v.in.Observed.Template.Revision }

// isTerminating reports whether deletion was requested.
func (v view) isTerminating() bool { return !v.in.DeletedAt.IsZero() }

// isAborted reports whether the template in the spec was aborted. The rollout then waits for a retry or another template.
func (v view) isAborted() bool {
	return v.mem.AbortedRevision != "" && v.mem.AbortedRevision == v.target()
}

// isGoingForward reports whether a release moves towards its new revision.
func (v view) isGoingForward() bool {
	return v.mem.Phase == v1alpha1.PhaseStepping || v.mem.Phase == v1alpha1.PhasePromoting
}

// replicaSet returns the ReplicaSet of a revision; the zero value if there is none.
func (v view) replicaSet(revision string) ReplicaSet {
	for _, rs := range v.in.Observed.ReplicaSets {
		if rs.Revision == revision {
			return rs
		}
	}
	return ReplicaSet{}
}

// available returns the number of available pods of a revision. It is 0 while the status of the ReplicaSet is about an older
// spec.
func (v view) available(revision string) int32 {
	rs := v.replicaSet(revision)
	if !rs.Current {
		return 0
	}
	return rs.Available
}

// images returns the images of a revision, joined by commas.
func (v view) images(revision string) string {
	if revision == v.target() {
		return v.in.Observed.Template.Images
	}
	return v.replicaSet(revision).Images
}

// trouble returns why a revision lacks pods, to be appended to a message about their number; empty if that is not known.
func (v view) trouble(revision string) string {
	rs := v.replicaSet(revision)
	if rs.Trouble == "" || rs.Available >= rs.Desired {
		return ""
	}
	return " (" + excerpt(rs.Trouble) + ")"
}

// sized is open when the current revision has that many pods available.
func (v view) sized(size int32) gate {
	current := v.mem.CurrentRevision
	if v.available(current) >= size {
		return gate{}
	}
	return waitFor("waiting for %s of revision %s: %d so far%s", Quantity(size, "available pod"), current,
		v.replicaSet(current).Available, v.trouble(current))
}

// stableIsAvailable reports whether the stable revision has all its pods.
func (v view) stableIsAvailable() bool {
	return v.replicaSet(v.mem.StableRevision).Available >= v.spec.replicas
}

// hasOtherPods reports whether revisions other than the stable one have pods.
func (v view) hasOtherPods() bool {
	for _, rs := range v.in.Observed.ReplicaSets {
		if rs.Revision != v.mem.StableRevision && rs.Replicas > 0 {
			return true
		}
	}
	return false
}

// podsAreGone reports whether no revision has, or should have, pods.
func (v view) podsAreGone() bool {
	for _, rs := range v.in.Observed.ReplicaSets {
		if rs.Replicas > 0 || rs.Desired > 0 {
			return false
		}
	}
	return true
}

// annotate returns the kubectl command that sets an annotation on this rollout.
func (v view) annotate(annotation string) string {
	return AnnotateCommand(v.in.Namespace, v.in.Name, annotation)
}

// AnnotateCommand returns the kubectl command that sets an annotation on a rollout, as messages show it.
func AnnotateCommand(namespace, name, annotation string) string {
	return fmt.Sprintf("kubectl -n %s annotate canaryrollout %s %s", namespace, name, annotation)
}

// Quantity formats a number with the noun that it counts.
func Quantity(count int32, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

// share returns the part of replicas that corresponds to a weight, rounded up.
func share(replicas, weight int32) int32 {
	return int32((int64(replicas)*int64(weight) + 99) / 100)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// Duration formats a duration as briefly as possible: 1h instead of 1h0m0s.
func Duration(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if short, isWhole := strings.CutSuffix(text, "m0s"); isWhole {
		text = short + "m"
	}
	if short, isWhole := strings.CutSuffix(text, "h0m"); isWhole {
		text = short + "h"
	}
	return text
}
