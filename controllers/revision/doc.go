// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package revision ties a pod template to its revision and to the ReplicaSet that runs it. It is pure.
//
// A template is identified by the bytes that the user wrote, never by Go types: types and defaults change with every
// library version, and a changed hash would redeploy every workload. Hash therefore reads the raw, unstructured
// spec.template; it only answers "are these the same bytes as then?". Equal decides whether two different spellings
// mean the same pods, from templates that the API server has defaulted. Nothing here uses the hash function or the
// alphabet of a library; golden tests pin both forever.
package revision
