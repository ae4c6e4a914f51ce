// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import "math"

// tail is what lies beyond either end of the 99 % interval.
const tail = 0.005

// BinomialInterval are the least and the most of n requests that reach a backend whose share is p, if each request is sent
// by chance: fewer, or more, come up in one of 200 cases at most. It is exact. A gateway that takes its backends in turn
// stays far within.
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

// probability is that of k of n. It goes by logarithms, as the factors of many requests are beyond what a number can hold.
func probability(n, k int, p float64) float64 {
	choose := logFactorial(n) - logFactorial(k) - logFactorial(n-k)
	return math.Exp(choose + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

func logFactorial(n int) float64 {
	log, _ := math.Lgamma(float64(n) + 1)
	return log
}
