// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// dryRun implements observe.Normalizer: a create that the API server carries out but for storing the object.
type dryRun struct{ client.Writer }

// Normalize implements observe.Normalizer.
func (d dryRun) Normalize(ctx context.Context, replicaSet *unstructured.Unstructured) error {
	return d.Create(ctx, replicaSet, client.DryRunAll, client.FieldOwner(v1alpha1.FieldManager))
}
