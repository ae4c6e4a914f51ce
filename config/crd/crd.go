// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the CustomResourceDefinition, so that what checks manifests without a cluster checks them by the very
// schema that a cluster has.
package crd

import _ "embed"

// Manifest is the CustomResourceDefinition in YAML.
//
//go:embed canaryrollout.dev_canaryrollouts.yaml
var Manifest []byte
