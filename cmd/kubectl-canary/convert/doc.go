// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package convert turns the objects of Argo Rollouts and of Flagger into CanaryRollouts, CanaryMetrics, Services and routes.
//
// It works on the YAML as the user wrote it, so what is carried over keeps its comments and its order. Each mapping of an
// object is walked with a table that says what becomes of each field: it is carried over, it has no counterpart, or it is not
// needed. A field that no table knows is reported as well, so no field is lost in silence.
//
// It reads no files and knows no cluster: it takes sources and returns objects and a report. The same sources always have the
// same result.
package convert
