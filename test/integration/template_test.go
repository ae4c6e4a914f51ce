// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/test/framework/admission"
)

var templates = flag.Int("templates", 500, "how many templates TestTemplatesAsInADeployment tries; 0 for all")

// TestTemplatesAsInADeployment changes a pod template in one place at a time, and sends it to the API server in a
// Deployment and in a CanaryRollout. What one accepts the other accepts, and both create the same pods from it. What
// one refuses the other refuses: on admission, or in the dry run of its ReplicaSet.
func TestTemplatesAsInADeployment(t *testing.T) {
	mutants, err := admission.Mutants()
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(mutants))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	if *templates > 0 {
		names = names[:*templates]
	}
	var taken atomic.Int64
	t.Run("templates", func(t *testing.T) {
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				wanted, refusal := asDeployment(t, mutants[name])
				got, err := asRollout(t, mutants[name])
				switch {
				case (refusal == nil) != (err == nil):
					t.Errorf("a Deployment:    %v\na CanaryRollout: %v", refusal, err)
				case refusal == nil && !revision.Equal(wanted, got):
					t.Errorf("the pods differ (-Deployment +CanaryRollout):\n%s", cmp.Diff(wanted, got))
				}
				if refusal == nil {
					taken.Add(1)
				}
			})
		}
	})
	t.Logf("%d of %d templates, and a Deployment takes %d of them", len(names), len(mutants), taken.Load())
	if n := int(taken.Load()); n < len(names)/10 || n > len(names)*9/10 {
		t.Error("that proves little: nearly all are right, or nearly all are wrong")
	}
}

// asDeployment returns the template that the ReplicaSets of a Deployment would have.
func asDeployment(t *testing.T, template map[string]any) (map[string]any, error) {
	t.Helper()
	object, err := tryCreate(t, map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "template", "namespace": namespace},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "reviews"}}, "template": runtime.DeepCopyJSON(template),
		},
	})
	return revision.Template(object), err
}

// asRollout returns the template that the ReplicaSets of a rollout would have.
func asRollout(t *testing.T, template map[string]any) (map[string]any, error) {
	t.Helper()
	content := named(t, "template")
	content["spec"].(map[string]any)["template"] = runtime.DeepCopyJSON(template)
	stored, err := tryCreate(t, content)
	if err != nil {
		return nil, err
	}
	set, err := tryCreate(t, revision.Render(stored, revision.Identity{Revision: "x", Hash: "x"}).Object)
	return revision.Template(set), err
}
