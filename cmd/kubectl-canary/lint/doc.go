// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lint checks manifests without a cluster. A CanaryRollout is put through what the API server does with it:
// unknown fields, defaults, the schema of the CustomResourceDefinition and its CEL rules. Then it is held against the
// Services and routes in the same files, by the code that the controller uses, and its release is forecast for the
// risks in it.
//
// It reads no file and knows no cluster: sources come in, findings go out.
package lint
