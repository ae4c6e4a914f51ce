// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestRecordBuild checks that the version is exported before the first rollout, and is kept when a rollout is deleted.
func TestRecordBuild(t *testing.T) {
	RecordBuild("v1.2.3", "abc", "go1.26.8")
	Forget(types.NamespacedName{Namespace: "bookinfo", Name: "reviews"})
	compare(t, `
# HELP canaryrollout_build_info 1, with the version of the manager in its labels.
# TYPE canaryrollout_build_info gauge
canaryrollout_build_info{goversion="go1.26.8",revision="abc",version="v1.2.3"} 1
`, prefix+"build_info")
}

// TestRecordShards checks that the number of shards is exported, and is kept when a rollout is deleted.
func TestRecordShards(t *testing.T) {
	RecordShards(3)
	Forget(types.NamespacedName{Namespace: "bookinfo", Name: "reviews"})
	compare(t, `
# HELP canaryrollout_shards Number of shards into which this manager divides the rollouts, whether it leads or not.
# TYPE canaryrollout_shards gauge
canaryrollout_shards 3
`, prefix+"shards")
}
