// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package route reads and writes what a rollout has in a user's HTTPRoute: the weights of two backends, and header
// rules of its own. It is a codec: an unstructured object in, values or a JSON patch out. It knows no client, no
// clock and no log, never changes its input, and never needs to understand the rest of the route (T5).
//
// # What is managed
//
// A managed rule is a rule of the user that names each of the pair's two Services exactly once among its backendRefs.
// Its weights are ours. If no other backend of the rule has a weight above zero, the pair's total becomes 100;
// otherwise the total that the user gave the pair is kept, because it is the pair's share of that rule. Backends of
// weight zero get no requests, so they are not counted.
//
// # What is ours
//
// A header rule is a complete copy of a managed rule, its source, with a header route's matches ANDed into its matches
// and the canary as its only backend. It is inserted right before the source (T7). A rule is ours if its only backend
// is this rollout's canary Service, and either
//
//   - its name is canaryrollout-<rollout>-<header route>-<n>, or the same with .<m> after it; or
//   - it has no name, and that backend has the weight 997.
//
// The second form is for a CRD that does not know rule names and drops them. A lone backend gets every request,
// whatever its weight, so a weight that nobody writes by hand marks the rule without changing traffic. (Without it, a
// nameless rule of ours would look like the most common rule that users write: one header, canary only, the default
// weight. argo's plugin takes such rules for its own and deletes them: its issue 217.) 997 is within the limits of the
// load balancers that allow less than the Gateway API does.
//
// A rule of ours must be right before its source; only header rules of other rollouts with the same source may be
// between them. A rule that is elsewhere, or differs from a fresh copy, is removed and inserted again.
//
// A mirror is a RequestMirror filter in a managed rule, after the user's filters. It is ours if it copies to this
// rollout's canary Service a fraction whose numerator is a multiple of 997 and whose denominator is 99700: the multiple
// is the percentage. A user who mirrors to that Service writes a percent, or a fraction of smaller numbers.
//
// If the schema has no fractions, each mirror to that Service is ours: one written by an older version of this package
// has lost its fraction there, and copies every request.
//
// Rollout names with a common beginning (a and a-b) do not collide, because no two rollouts share a canary Service.
// Everything else is the user's, including a rule with a name of ours and other backends.
package route
