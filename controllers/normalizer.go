// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// dryRun implements observe.Normalizer with a server-side dry-run create.
type dryRun struct{ client.Writer }

// Normalize implements observe.Normalizer. It is strict: the API server stores the template of a rollout as given, so
// an unknown field has to be rejected here. Otherwise a template with a misspelled probe would be released without
// the probe.
func (d dryRun) Normalize(ctx context.Context, replicaSet *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, dryRunTimeout)
	defer cancel()
	return d.Create(ctx, replicaSet, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict), client.FieldOwner(v1alpha1.FieldManager))
}
