// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lint checks manifests without a cluster. A CanaryRollout goes through the same steps as in the API server:
// unknown fields, defaults, the schema of the CustomResourceDefinition and its CEL rules. It is then compared with the
// Services and routes in the same files, using the controller's code, and its release is forecast to find risks.
//
// It reads no files and knows no cluster: it takes sources and returns findings.
package lint
