// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package forecast tells what a release will do before it does it. It runs the whole release through plan.Compute, the
// very function that the controller uses, in a world where everything goes well: actions take effect at once, pods
// become available after a time that is assumed, gateways accept what they are told, and a pause that waits for a
// person is promoted as soon as it is reached. What it says about pods, weights and time is therefore no second
// opinion: a change of the planner changes the forecast with it.
//
// It is pure, as plan is: no client, no clock, no log.
package forecast
