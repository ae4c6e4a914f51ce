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
// which depends on the sums alone. A canary fails only at a look at which both have reached 1/alpha: neither a large ratio of two
// tiny rates nor a bad hour of both versions aborts a release. The mirrored tests, at half of alpha each, let it pass early.
//
// Only the logarithms of the products of the ratio have to be remembered. They are bounded in number, so a restart loses no
// evidence.
//
// Sources: Lindon, Sanden, Shirikian, "Rapid regression detection in software deployments through sequential testing" (KDD
// 2022); Lindon, Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022).
package analysis
