// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package analysis judges a canary by counts of requests. It is pure: no clock, no client, no API objects.
//
// # A test that holds at any moment
//
// A threshold that is looked at again and again aborts good releases: each look is another chance to be wrong. The test
// here is sequential. Its chance of ever failing a canary that is good is at most the stated false alarm, no matter how often
// and when it is looked at.
//
// Per interval, the canary served nc requests, bc of them bad, and stable ns and bs. Let r be the ratio of the two bad rates,
// canary over stable. A bad request is the canary's with the probability
//
//	theta(r) = r nc / (r nc + ns)
//
// For some ratios rk above the tolerated ratio r0, with prior weights wk that sum to 1, the mixture is
//
//	E = sum over k of wk * product over intervals of A^bc * B^bs,  A = theta(rk)/theta(r0), B = (1-theta(rk))/(1-theta(r0))
//
// If each request is bad with a probability p at stable and with at most r0 p at the canary, independently of the others, the
// expectation of the factor of one interval is at most
//
//	(1 + r0 p )^nc * (1 + p (B-1))^ns <= exp(p (r0 nc (A-1) + ns (B-1))) = 1
//
// whatever p is. So p may change from interval to interval, and so may the weight; E is a non-negative supermartingale, and by
// Ville's inequality the chance that it ever reaches 1/alpha is at most alpha. The same inequality, 1+x <= exp(x), gives the
// test of the canary's own rate, "it is at most a", with
//
//	E = sum over k of wk * (qk/a)^bc * exp(-nc (qk-a))
//
// which depends on the sums alone. A canary fails only at a look at which both have reached the bound: neither a large ratio of two
// tiny rates nor a bad hour of both versions aborts a release. The mirrored tests, at half of alpha each, let it pass early.
//
// # A canary that turns bad
//
// Against such a test, a canary that was good for an hour would have to be bad for as long. So there is a series of tests: when
// the evidence of one has fallen below exp(-3), the next starts with none. The first has 4/5 of alpha, and the one after the j-th
// start 1/5 of alpha / (j (j+1)). These sum to alpha, so the chance that any of them ever fails a good canary is at most alpha.
//
// # What it assumes
//
//   - Requests are bad independently of each other. If one cause makes several requests bad, and each of them is routed on its own,
//     the comparison of the ratio still holds: then p varies, for both versions. If all of them go to one version, for example
//     since a gateway tries again there, ClusterSize has to be as large as such a cluster. Each request then counts
//     1/ClusterSize, and as x^t <= 1 + t(x-1) for t <= 1, the inequality above holds for all clusters up to that size.
//   - Both versions get the same kind of requests, which is what a weight does. A header route does not.
//   - Within an interval, both are counted for the same time. That is so if one source counts for both, such as a gateway. Pods
//     are scraped at different moments, so an outage of both versions shows at one of them first: see ByPod, whose effect is
//     simulated and not proven.
//   - The canary is tolerable for the same reason all the time: by its ratio, or by its rate. If it changes between the two, the
//     new starts and the demand for both at one look keep the chance low in simulations, without a proof.
//
// Only sums and the logarithms of the products of the ratio have to be remembered. They are bounded in number, so a restart loses
// no evidence.
//
// Sources: Lindon, Sanden, Shirikian, "Rapid regression detection in software deployments through sequential testing" (KDD
// 2022); Lindon, Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022).
package analysis
