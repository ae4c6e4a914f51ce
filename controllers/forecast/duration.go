// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"strings"
	"time"
)

// Duration formats a duration as briefly as possible: 1h instead of 1h0m0s.
func Duration(d time.Duration) string {
	text := d.Round(time.Millisecond).String()
	if short, isWhole := strings.CutSuffix(text, "m0s"); isWhole {
		text = short + "m"
	}
	if short, isWhole := strings.CutSuffix(text, "h0m"); isWhole {
		text = short + "h"
	}
	return text
}
