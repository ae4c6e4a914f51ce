// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Command annotations, which a user sets on a rollout (kubectl annotate). A command is carried out exactly once, and
// its annotation is then removed. When several are set, abort takes precedence over retry, and retry over promote.
const (
	// PromoteAnnotation is "true" (leave the current pause), "full" (skip the remaining steps),
	// "<revision>/<step number>" (like true, but only while that revision is at that step) or "<revision>/full" (like full,
	// but only while that revision is in flight).
	PromoteAnnotation = "canaryrollout.dev/promote"
	// AbortAnnotation is "true" or a reason in words: all traffic returns to the stable revision immediately.
	AbortAnnotation = "canaryrollout.dev/abort"
	// RetryAnnotation is "true": an aborted revision is released again from its first step.
	RetryAnnotation = "canaryrollout.dev/retry"
)

// Annotations that name users. The MutatingAdmissionPolicy of config/policies/users.yaml sets them. An annotation for each
// command says whose it is even if several users give commands at once. It is removed together with its command.
const (
	// AppliedByAnnotation is the user who last changed spec.template, or created the rollout.
	AppliedByAnnotation = "canaryrollout.dev/applied-by"
	// PromotedByAnnotation is the user who set PromoteAnnotation.
	PromotedByAnnotation = "canaryrollout.dev/promoted-by"
	// AbortedByAnnotation is the user who set AbortAnnotation.
	AbortedByAnnotation = "canaryrollout.dev/aborted-by"
	// RetriedByAnnotation is the user who set RetryAnnotation.
	RetriedByAnnotation = "canaryrollout.dev/retried-by"
)

// Labels and annotations on the ReplicaSets that a rollout owns.
const (
	// RevisionLabel identifies the pods of one revision. Deployments use the same label, so the ReplicaSet of an orphaned
	// Deployment can be adopted, and handed back, without restarting a pod.
	RevisionLabel = "pod-template-hash"
	// RolloutLabel is the rollout's name. The controller caches only ReplicaSets that have this label.
	RolloutLabel = "canaryrollout.dev/rollout"
	// TemplateHashAnnotation is the hash of the raw pod template that a ReplicaSet was created from or matched to.
	TemplateHashAnnotation = "canaryrollout.dev/template-hash"
	// PromotionAnnotation is a number on each ReplicaSet that was promoted. The stable one has the highest. It is read when
	// the status of the rollout was lost, for example after a restore from a backup.
	PromotionAnnotation = "canaryrollout.dev/promotion"
	// AbortedAnnotation is the reason why a ReplicaSet's revision was aborted. It is read like PromotionAnnotation: an
	// aborted revision waits for a retry after a restore, too.
	AbortedAnnotation = "canaryrollout.dev/aborted"
)

const (
	// Finalizer keeps a deleted rollout until its traffic is back at the stable revision.
	Finalizer = "canaryrollout.dev/traffic"
	// FieldManager is the field manager of the controller's writes.
	FieldManager = "canaryrollout"
)
