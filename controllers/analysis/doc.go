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
// canary over stable. If bad requests are Poisson with any common rate, which may change with time, then each bad request is
// the canary's with the probability
//
//	theta(r) = r nc / (r nc + ns)
//
// given how many there were in the interval. The unknown rate is gone, and the weight may change from interval to
// interval. For some ratios rk above the tolerated ratio r0, with prior weights that sum to 1, the mixture
//
//	E = sum over k of wk * product over intervals of (theta(rk)/theta(r0))^bc * ((1-theta(rk))/(1-theta(r0)))^bs
//
// is a non-negative supermartingale under every r <= r0. By Ville's inequality the chance that it ever reaches 1/alpha is at
// most alpha. A second one is about the rate of the canary alone. A canary fails only when both have reached the bound:
// neither a large ratio of two tiny rates nor a bad hour of both versions aborts a release. The mirrored tests, at half of
// alpha each, let it pass early.
//
// Only the logarithms of the products have to be remembered. They are bounded in number, so a restart loses no evidence.
//
// Sources: Lindon, Sanden, Shirikian, "Rapid regression detection in software deployments through sequential testing" (KDD
// 2022); Lindon, Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022).
package analysis
