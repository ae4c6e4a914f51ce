// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fakegateway is a small implementation of the Gateway API for tests, strict and controlled by the test. It
// complements the real one of the test cluster (Traefik) with what a real one does only when it is broken or slow:
//
//   - It reports what the test asks for: see [Behaviour]. The zero value is a gateway that follows the Gateway API.
//   - It routes what it reports, or later than it reports, or endpoints later than weights: [Behaviour.RouteLag] and
//     [Behaviour.EndpointLag].
//   - It is strict. It never retries, never reuses a connection to a pod, and has no fallback: a backendRef that cannot
//     be resolved is answered with 500 for its share, a Service without ready endpoints with 503, a request that no rule
//     matches with 404. Each is counted ([Gateway.Counts]) and logged. It refuses a route that exceeds a limit of the
//     Gateway API, or that uses a feature it does not support.
//
// Each [Gateway] has its own GatewayClass, one or more Gateway objects and a listener, so tests with one each can run
// in parallel. It watches one namespace, or all.
//
// A well-behaved gateway routes a change before it reports it. One with a RouteLag reports first, and routes that
// much later. Lags are counted from the watch event that brought the change.
package fakegateway
