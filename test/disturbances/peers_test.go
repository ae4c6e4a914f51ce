// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"fmt"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// kindOfPeer is a CustomResourceDefinition of another tool, as far as kubectl and the garbage collector need it. It is a format for
// the plural, the group, the kind and the version.
const kindOfPeer = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, kind: %[3]s, listKind: %[3]sList}
  versions:
  - {name: %[4]s, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// ofArgoRollouts is a Rollout at rest, with its pods. It is a format for the image.
const ofArgoRollouts = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: reviews-rollout}
spec: {replicas: 4}
status: {phase: Healthy}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: reviews-rollout-6d4, labels: {app: reviews, rollouts-pod-template-hash: 6d4}}
spec:
  replicas: 4
  selector: {matchLabels: {app: reviews, rollouts-pod-template-hash: 6d4}}
  template:
    metadata: {labels: {app: reviews, rollouts-pod-template-hash: 6d4}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: app, image: %q}]}
`

// TestFromArgoRollouts moves a workload of Argo Rollouts with the documented commands, and releases the next version. No request is
// lost. The cluster has the objects of Argo Rollouts, and no controller of it. It takes all the load that the gateway is tested with, so
// it is not parallel.
func TestFromArgoRollouts(t *testing.T) {
	rest, create, orphan, release, wait, scaleDown := blocksOf(t)
	options := harness.Options{Rate: 129, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}}
	a := harness.Prepare(t, env, options)
	s := a.Terminal()
	s.Run("kubectl apply -f - <<'end'\n" + fmt.Sprintf(kindOfPeer, "rollouts", "argoproj.io", "Rollout", "v1alpha1") + "end")
	s.Run("kubectl wait --for=condition=Established --timeout=1m crd/rollouts.argoproj.io")
	s.Run("kubectl apply -f - <<'end'\n" + fmt.Sprintf(ofArgoRollouts, builder.ImageV1) + "end")
	s.Run(`uid=$(kubectl get rollouts.argoproj.io reviews-rollout -o jsonpath='{.metadata.uid}')
kubectl patch rs reviews-rollout-6d4 --type=merge -p '{"metadata": {"ownerReferences": [
  {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "reviews-rollout", "uid": "'$uid'", "controller": true, "blockOwnerDeletion": true}]}}'
for service in reviews-stable reviews-canary; do
  kubectl patch service $service --type=merge -p '{"metadata": {"annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "reviews-rollout"}},
    "spec": {"selector": {"rollouts-pod-template-hash": "6d4"}}}'
done
kubectl wait --for=jsonpath='{.status.availableReplicas}'=4 --timeout=1m rs/reviews-rollout-6d4`)
	startTraffic(t, a)

	lines := strings.Fields(s.Run(rest))
	s.Variables = append(s.Variables, "old="+lines[len(lines)-1])
	write(t, s, "canaryrollout.yaml", manifest(t, a, options))
	s.Run(create)
	a.Eventually("the new pods", func() (bool, string) {
		ready := a.Get().Status.Ready
		return ready == "4/4", ready
	})
	s.Run(orphan)
	s.Run(release)
	if serving := s.Run(wait); strings.Contains(serving, "reviews-rollout-6d4-") || strings.Count(serving, "\nreviews-") != 8 {
		t.Errorf("the rollout is ready, and the Services have these pods:\n%s", serving)
	}
	s.Run(scaleDown)
	a.SetImage(builder.ImageV2)
	v1 := a.Stable()
	a.WaitForPause("2/2")
	a.Annotate(v1alpha1.PromoteAnnotation, "true")
	a.CheckPromoted(v1)
	a.CheckRoute()
	a.CheckLoss()
}

// blocksOf returns the commands with which docs/coming-from-argo-rollouts.md moves a workload.
func blocksOf(t *testing.T) (rest, create, orphan, release, wait, scaleDown string) {
	t.Helper()
	blocks := harness.Documented(t, "coming-from-argo-rollouts.md", "## Move a live workload")
	if len(blocks) != 6 {
		t.Fatalf("the page has %d blocks of commands", len(blocks))
	}
	return blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], blocks[5]
}
