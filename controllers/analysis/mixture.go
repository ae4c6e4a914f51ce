// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// alternatives is how many rates or ratios a test mixes. More of them detect no faster; fewer leave gaps between them.
const alternatives = 16

// hypothesis is a ratio or a rate, and the alternatives to it: the value times each of the factors.
type hypothesis struct {
	value float64
	// factors and their logarithms.
	factors, logs [alternatives]float64
}

// against returns a hypothesis with alternatives up to a number, evenly spaced by their logarithms.
func against(value, upTo float64) hypothesis {
	h := hypothesis{value: value}
	for k := range h.factors {
		h.logs[k] = math.Log(upTo/value) * float64(k+1) / alternatives
		h.factors[k] = math.Exp(h.logs[k])
	}
	return h
}

// mixture holds the logarithm of a likelihood ratio for each alternative. The zero value has seen nothing.
type mixture [alternatives]float64

// growRatio adds the logarithms for one interval: it compares how the bad requests are divided between canary and stable with
// how the ratio would divide them.
func (m *mixture) growRatio(h *hypothesis, counts Counts, weight float64) {
	if counts.CanaryBad+counts.StableBad == 0 {
		return
	}
	canary := h.value * counts.CanaryTotal
	for k := range m {
		share := math.Log((h.factors[k]*canary + counts.StableTotal) / (canary + counts.StableTotal))
		m[k] += weight * (counts.CanaryBad*(h.logs[k]-share) - counts.StableBad*share)
	}
}

// rateEvidence returns the evidence against a rate of the canary. It depends on the sums alone, so there is nothing to remember.
func (h *hypothesis) rateEvidence(sums Counts, weight float64) float64 {
	var m mixture
	for k := range m {
		m[k] = weight * (sums.CanaryBad*h.logs[k] - sums.CanaryTotal*h.value*(h.factors[k]-1))
	}
	return m.evidence()
}

// evidence is the logarithm of the mean of all likelihood ratios: 0 before anything was seen. It has to reach the logarithm
// of 1/alpha.
func (m *mixture) evidence() float64 {
	largest := m[0]
	for _, log := range m {
		largest = math.Max(largest, log)
	}
	sum := 0.0
	for _, log := range m {
		sum += math.Exp(log - largest)
	}
	return largest + math.Log(sum/alternatives)
}
