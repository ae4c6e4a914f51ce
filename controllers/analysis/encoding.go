// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// encodingVersion begins the text of encoded evidence. Another layout gets another one.
const encodingVersion = "1:"

// numbers are all that evidence consists of, in the order in which they are encoded.
type numbers [10 + 2*alternatives]float64

// encodedSize is the size of encoded evidence in bytes, before base64: the numbers and a checksum.
const encodedSize = 8*len(numbers{}) + 4

// Encode returns evidence as a text of less than 800 ASCII characters, and the empty text for no evidence. DecodeEvidence returns
// the same evidence, to the last bit.
func (e Evidence) Encode() string {
	if e == (Evidence{}) {
		return ""
	}
	data := make([]byte, 0, encodedSize)
	for _, number := range e.numbers() {
		data = binary.BigEndian.AppendUint64(data, math.Float64bits(number))
	}
	return encodingVersion + base64.RawURLEncoding.EncodeToString(append(data, checksum(data)...))
}

// DecodeEvidence returns the evidence that a text encodes, or an error if Encode cannot have returned that text.
func DecodeEvidence(text string) (Evidence, error) {
	if text == "" {
		return Evidence{}, nil
	}
	encoded, isVersion := strings.CutPrefix(text, encodingVersion)
	if !isVersion {
		return Evidence{}, fmt.Errorf("the evidence does not begin with %q: another version of the operator wrote it", encodingVersion)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(data) != encodedSize {
		return Evidence{}, errors.New("the evidence is corrupt: it is incomplete")
	}
	content := data[:encodedSize-4]
	if string(data[encodedSize-4:]) != string(checksum(content)) {
		return Evidence{}, errors.New("the evidence is corrupt: its checksum is wrong")
	}
	var all numbers
	for i := range all {
		all[i] = math.Float64frombits(binary.BigEndian.Uint64(content[8*i:]))
		if math.IsNaN(all[i]) || math.IsInf(all[i], 0) || i < 10 && all[i] < 0 {
			return Evidence{}, errors.New("the evidence is corrupt: it has a number that no counts give")
		}
	}
	if former := all[9]; former != math.Trunc(former) || former >= float64(len(verdicts)) {
		return Evidence{}, errors.New("the evidence is corrupt: it has an unknown verdict")
	}
	return all.evidence(), nil
}

// verdicts are the verdicts by the number that encodes them. The first one is that of no evidence.
var verdicts = []Verdict{"", Open, Failed, Passed}

func checksum(data []byte) []byte {
	sum := fnv.New32a()
	sum.Write(data)
	return sum.Sum(nil)
}

func (e *Evidence) numbers() numbers {
	var all numbers
	for i, counts := range []Counts{e.Counts, e.recent} {
		copy(all[4*i:], []float64{counts.CanaryBad, counts.CanaryTotal, counts.StableBad, counts.StableTotal})
	}
	all[8], all[9] = e.starts, float64(slices.Index(verdicts, e.former))
	copy(all[10:], e.worseRatio[:])
	copy(all[10+alternatives:], e.betterRatio[:])
	return all
}

func (n *numbers) evidence() Evidence {
	return Evidence{
		Counts:      Counts{CanaryBad: n[0], CanaryTotal: n[1], StableBad: n[2], StableTotal: n[3]},
		recent:      Counts{CanaryBad: n[4], CanaryTotal: n[5], StableBad: n[6], StableTotal: n[7]},
		starts:      n[8],
		former:      verdicts[int(n[9])],
		worseRatio:  mixture(n[10 : 10+alternatives]),
		betterRatio: mixture(n[10+alternatives:]),
	}
}
