// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import "math"

// alternatives is how many rates or ratios a test mixes. More of them detect no faster; fewer leave gaps between them.
const alternatives = 16

// hypothesis is a ratio or a rate, and the alternatives to it.
type hypothesis struct {
	value        float64
	alternatives [alternatives]float64
}

// against returns a hypothesis with alternatives up to a number, evenly spaced by their logarithms.
func against(value, upTo float64) hypothesis {
	h := hypothesis{value: value}
	for k := range h.alternatives {
		h.alternatives[k] = value * math.Pow(upTo/value, float64(k+1)/alternatives)
	}
	return h
}

// mixture holds the logarithm of a likelihood ratio for each alternative, and the highest value that their mean had.
type mixture struct {
	logs    []float64
	highest float64
}

// grow adds the logarithms of one interval. An alternative that is contradicted for certain stays out for good.
func (m *mixture) grow(by func(k int) float64) {
	if len(m.logs) != alternatives {
		m.logs = make([]float64, alternatives)
	}
	for k := range m.logs {
		m.logs[k] += by(k)
	}
	m.highest = math.Max(m.highest, m.evidence())
}

// evidence is the logarithm of the mean of all likelihood ratios: 0 before anything was seen. It has to reach the logarithm
// of 1/alpha.
func (m *mixture) evidence() float64 {
	if len(m.logs) == 0 {
		return 0
	}
	largest := math.Inf(-1)
	for _, log := range m.logs {
		largest = math.Max(largest, log)
	}
	if math.IsInf(largest, -1) {
		return largest
	}
	sum := 0.0
	for _, log := range m.logs {
		sum += math.Exp(log - largest)
	}
	return largest + math.Log(sum/float64(len(m.logs)))
}
