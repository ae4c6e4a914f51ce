// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import "testing"

// TestIsRemembered: what is not done again from memory must have been done before the pass is remembered.
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
