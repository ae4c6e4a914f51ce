// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package revision ties a pod template to its revision and to the ReplicaSet that carries it. It is pure.
//
// The identity of a template is taken over the bytes that the user wrote, never over Go types: types and defaults
// change with every library, and a changed hash would redeploy every workload. So Hash reads the raw, unstructured
// spec.template; it answers only "are these the same bytes as then?". Whether two different spellings mean the same
// pods is asked of templates that the API server has defaulted (Equal). Nothing here uses the hash or the alphabet of
// a library; golden tests pin both for ever.
package revision
