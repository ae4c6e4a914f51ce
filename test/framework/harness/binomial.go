// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import "math"

// tail is the probability outside either end of the 99 % interval.
const tail = 0.005

// BinomialInterval returns the bounds of the 99 % interval for how many of n requests reach a backend with share p,
// if each request is sent at random: fewer, or more, occur in at most one of 200 cases. It is exact. A gateway that
// picks its backends in turn stays well within it.
func BinomialInterval(n int, p float64) (low, high int) {
	switch {
	case n <= 0 || p <= 0:
		return 0, 0
	case p >= 1:
		return n, n
	}
	sum := probability(n, 0, p)
	for low = 0; sum <= tail && low < n; sum += probability(n, low, p) {
		low++
	}
	sum = probability(n, n, p)
	for high = n; sum <= tail && high > low; sum += probability(n, high, p) {
		high--
	}
	return low, high
}

// probability returns the probability of k of n. It uses logarithms because the factorials of many requests overflow.
func probability(n, k int, p float64) float64 {
	choose := logFactorial(n) - logFactorial(k) - logFactorial(n-k)
	return math.Exp(choose + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func logFactorial(n int) float64 {
	log, _ := math.Lgamma(float64(n) + 1)
	return log
}
