// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// FuzzEncode: a restart loses no bit of the evidence, and the text fits into the API object.
func FuzzEncode(f *testing.F) {
	f.Add(uint64(1), 3, 7.5)
	f.Add(uint64(2), 0, 0.0)
	f.Fuzz(func(t *testing.T, seed uint64, looks int, load float64) {
		random := rand.New(rand.NewPCG(seed, 4))
		var seen Evidence
		for range min(max(looks, 0), 100) {
			byPod.Add(&seen, Counts{load * random.Float64(), load, load * random.Float64(), load * random.Float64() * 9})
		}
		text := seen.Encode()
		if len(text) >= 800 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%d characters: %s", len(text), text)
		}
		if decoded, err := DecodeEvidence(text); err != nil || decoded != seen {
			t.Errorf("%+v, %v, want %+v", decoded, err, seen)
		}
	})
}

// byPod is the usual comparison with counters of pods.
var byPod = mustTest(Comparison{Ratio: 1.25, Rate: 0.005, FalseAlarm: 0.01, ByPod: true})

// FuzzDecodeEvidence: a text that somebody has edited is an error, or evidence as Encode writes it.
func FuzzDecodeEvidence(f *testing.F) {
	f.Add(evidenceOf(3, 100, 1, 900).Encode())
	f.Add("1:")
	f.Add("0:AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := DecodeEvidence(text)
		if err == nil && decoded.Encode() != text && decoded != (Evidence{}) {
			t.Errorf("%q is decoded to %+v", text, decoded)
		}
	})
}

// TestCorruptEvidence: every change of one character is seen, and so are numbers that would spoil a verdict.
func TestCorruptEvidence(t *testing.T) {
	text := evidenceOf(3, 100, 1, 900).Encode()
	for at := range text {
		for _, changed := range []string{text[:at] + "B" + text[at+1:], text[:at], text[:at] + "B" + text[at:]} {
			if _, err := DecodeEvidence(changed); err == nil && changed != text && changed != "" {
				t.Errorf("%q is decoded", changed)
			}
		}
	}
	for i, number := range map[int]float64{0: -1, 1: math.NaN(), 2: math.Inf(1), 9: 4, 11: math.Inf(-1)} {
		all := evidenceOf(3, 100, 1, 900).numbers()
		all[i] = number
		var data []byte
		for _, number := range all {
			data = binary.BigEndian.AppendUint64(data, math.Float64bits(number))
		}
		if _, err := DecodeEvidence(encodingVersion + base64.RawURLEncoding.EncodeToString(append(data, checksum(data)...))); err == nil {
			t.Errorf("%g at %d is decoded", number, i)
		}
	}
}

// evidenceOf is what the usual comparison has seen after one interval.
func evidenceOf(canaryBad, canaryTotal, stableBad, stableTotal float64) *Evidence {
	var seen Evidence
	usual.Add(&seen, Counts{canaryBad, canaryTotal, stableBad, stableTotal})
	return &seen
}

// BenchmarkLook is what one interval costs in a pass: decode, add, judge, describe, encode.
func BenchmarkLook(b *testing.B) {
	text := evidenceOf(3, 1000, 1, 9000).Encode()
	b.ReportAllocs()
	for b.Loop() {
		test := mustTest(usual.comparison)
		seen, _ := DecodeEvidence(text)
		test.Add(&seen, Counts{1, 50, 1, 450})
		test.Verdict(&seen)
		test.Describe(&seen)
		seen.Encode()
	}
}

// BenchmarkAdd is one interval and its verdict alone.
func BenchmarkAdd(b *testing.B) {
	var seen Evidence
	b.ReportAllocs()
	for b.Loop() {
		usual.Add(&seen, Counts{1, 50, 1, 450})
		usual.Verdict(&seen)
	}
}

func BenchmarkDetectable(b *testing.B) {
	seen := evidenceOf(3, 1000, 1, 9000)
	b.ReportAllocs()
	for b.Loop() {
		usual.Detectable(seen)
	}
}
