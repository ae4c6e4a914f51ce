// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinitions, so that what checks manifests without a cluster checks them by the same
// schemas that a cluster has.
package crd

import _ "embed"

// The CustomResourceDefinitions in YAML.
var (
	// Rollouts is that of CanaryRollout.
	//
	//go:embed canaryrollout.dev_canaryrollouts.yaml
	Rollouts []byte
	// Metrics is that of CanaryMetric.
	//
	//go:embed canaryrollout.dev_canarymetrics.yaml
	Metrics []byte
)
