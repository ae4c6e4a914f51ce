// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Annotations by which a user commands a rollout (kubectl annotate). A command is carried out exactly once and
// its annotation is then removed; when several are set, abort wins over retry, and retry over promote.
const (
	// PromoteAnnotation is "true" (leave the current pause), "full" (skip the remaining steps),
	// "<revision>/<step number>" (as true, but only while that revision is at that step) or "<revision>/full" (as full,
	// but only while that revision is in flight).
	PromoteAnnotation = "canaryrollout.dev/promote"
	// AbortAnnotation is "true" or a reason in words: all traffic goes back to the stable revision, now.
	AbortAnnotation = "canaryrollout.dev/abort"
	// RetryAnnotation is "true": an aborted revision starts again at its first step.
	RetryAnnotation = "canaryrollout.dev/retry"
)

// Labels and annotations on the ReplicaSets that a rollout owns.
const (
	// RevisionLabel distinguishes the pods of one revision. It is the label that Deployments use, so that an
	// orphaned Deployment's ReplicaSet can be adopted, and handed back, without restarting a pod.
	RevisionLabel = "pod-template-hash"
	// RolloutLabel carries the rollout's name. The controller's ReplicaSet cache holds only what has it.
	RolloutLabel = "canaryrollout.dev/rollout"
	// TemplateHashAnnotation is the hash of the raw pod template that a ReplicaSet was made from or recognised by.
	TemplateHashAnnotation = "canaryrollout.dev/template-hash"
	// PromotionAnnotation is a number on each ReplicaSet that was promoted: the stable one has the highest. It is read
	// when the status of the rollout was lost, for example after a restore from a backup.
	PromotionAnnotation = "canaryrollout.dev/promotion"
	// AbortedAnnotation is the reason for which the revision was aborted, on its ReplicaSet. It is read like
	// PromotionAnnotation: an aborted revision waits for a retry after a restore, too.
	AbortedAnnotation = "canaryrollout.dev/aborted"
)

const (
	// Finalizer lets a rollout bring traffic back to the stable revision before its pods go.
	Finalizer = "canaryrollout.dev/traffic"
	// FieldManager is the name under which the controller writes.
	FieldManager = "canaryrollout"
)
