// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package forecast predicts what a release will do before it starts. It runs the whole release through the
// moves of plan.Compute, the function that the controller uses, in a simulated world where nothing fails: actions take effect at once,
// pods become available after an assumed time, gateways accept every change, and a pause that waits for a person is
// promoted as soon as it is reached. The forecast therefore cannot disagree with the planner about pods, weights and
// times: when the planner changes, so does the forecast.
//
// It is pure, like plan: no client, no clock, no log.
package forecast
