// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gateway is a small implementation of the Gateway API for tests, strict and under the test's control. It stands
// beside the real one of the test cluster (Traefik), for what a real one does only when it is sick or slow:
//
//   - It says what it is told to say: see [Behaviour]. Its zero value is a gateway that does all as the Gateway API says.
//   - It routes what it says, or later than it says, or endpoints later than weights: [Behaviour.RouteLag] and
//     [Behaviour.EndpointLag].
//   - It is strict. It tries nothing twice, keeps no connection to a pod, and falls back on nothing: a backendRef that
//     cannot be resolved is answered with 500 for its share, a Service without ready endpoints with 503, what no rule
//     matches with 404. Each is counted ([Gateway.Counts]) and logged. It refuses a route that breaks a limit of the Gateway
//     API, or asks for what it does not know.
//
// Each [Gateway] has a GatewayClass, one or more Gateway objects and a listener of its own, so tests that have one each may
// run beside each other. It looks at one namespace.
//
// A well-behaved gateway routes a change before it reports it. One with a RouteLag reports first, and routes that much
// later. How late a change is, is counted from the watch event that brought it.
package gateway
