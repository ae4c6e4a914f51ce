// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"
	"time"
)

// TestIsRemembered checks that a pass is not remembered before the actions that memory does not repeat have been carried out.
func TestIsRemembered(t *testing.T) {
	for _, tc := range []struct {
		action Action
		want   bool
	}{
		{SetTraffic{}, true}, {PointService{}, true}, {CreateReplicaSet{}, true}, {ScaleReplicaSet{}, true}, {DeleteReplicaSet{}, true},
		{AddFinalizer{}, false}, {RemoveFinalizer{}, false}, {RemoveAnnotations{}, false}, {AdoptReplicaSet{}, false},
	} {
		if got := IsRemembered([]Action{SetTraffic{}, tc.action}); got != tc.want {
			t.Errorf("%T failed: remembered %t", tc.action, got)
		}
	}
	if IsRemembered(nil) {
		t.Error("a pass that tried nothing is remembered")
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 10 * time.Second: "10s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		time.Hour + time.Second: "1h0m1s", 100 * time.Millisecond: "100ms", 20 * time.Hour: "20h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
