// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/convert"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// peers has the CustomResourceDefinitions of the other tools, as far as kubectl and the garbage collector need them.
const peers = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {plural: rollouts, kind: Rollout, listKind: RolloutList}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: canaries.flagger.app}
spec:
  group: flagger.app
  scope: Namespaced
  names: {plural: canaries, kind: Canary, listKind: CanaryList}
  versions:
  - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// installPeers returns when the garbage collector knows the kinds of the other tools: an object is deleted in the foreground by it.
// Until then, it may take an owner for absent, and delete what that owns.
func installPeers(s *harness.Terminal) {
	s.Run("kubectl apply -f - <<'end'\n" + peers + "end")
	s.Run(`kubectl wait --for=condition=Established --timeout=1m crd/rollouts.argoproj.io crd/canaries.flagger.app
kubectl apply -f - <<'end'
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: known}
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: known}
end
kubectl delete rollouts.argoproj.io/known canaries.flagger.app/known --cascade=foreground --timeout=3m`)
}

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
	typed := harness.Documented(t, "coming-from-argo-rollouts.md", "## Move a live workload")
	if len(typed) != 6 {
		t.Fatalf("the page has %d blocks of commands", len(typed))
	}
	rest, create, orphan, release, wait, scaleDown := typed[0], typed[1], typed[2], typed[3], typed[4], typed[5]
	options := harness.Options{Rate: 129, Steps: []v1alpha1.Step{builder.Weight(50), builder.Hold()}}
	a := harness.Prepare(t, env, options)
	s := a.Terminal()
	installPeers(s)
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

// toConvert is what a user of Flagger applies. It is a format for the host, the Gateway, its namespace and the image.
const toConvert = `
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo}
spec:
  provider: gatewayapi:v1
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  service: {port: 9080, targetPort: 9080, hosts: [%[1]s], gatewayRefs: [{name: %[2]s, namespace: %[3]s}]}
  analysis: {interval: 10m, threshold: 3, stepWeight: 50, maxWeight: 50}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo}
spec:
  replicas: 2
  selector: {matchLabels: {app: podinfo}}
  template:
    metadata: {labels: {app: podinfo}}
    spec: {terminationGracePeriodSeconds: 5, containers: [{name: app, image: %[4]q, ports: [{containerPort: 9080}]}]}
`

// ofFlagger is what Flagger has made of it: the pods that serve, the Services and the route. The Canary owns them. It is a format for
// the same.
const ofFlagger = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo-primary, labels: {app: podinfo-primary}}
spec:
  replicas: 2
  selector: {matchLabels: {app: podinfo-primary}}
  template:
    metadata: {labels: {app: podinfo-primary}}
    spec: {terminationGracePeriodSeconds: 5, containers: [{name: app, image: %[4]q, ports: [{containerPort: 9080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: podinfo}
spec: {selector: {app: podinfo-primary}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: podinfo-primary}
spec: {selector: {app: podinfo-primary}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: podinfo-canary}
spec: {selector: {app: podinfo}, ports: [{name: http, port: 9080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: podinfo}
spec:
  parentRefs: [{name: %[2]s, namespace: %[3]s}]
  hostnames: [%[1]s]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: podinfo-primary, port: 9080, weight: 100}, {name: podinfo-canary, port: 9080, weight: 0}]
`

// TestFromFlagger converts and moves a workload of Flagger with the documented commands, and releases the next version. No request is
// lost. The cluster has the objects of Flagger, and no controller of it. It takes all the load, too.
func TestFromFlagger(t *testing.T) {
	typed := harness.Documented(t, "coming-from-flagger.md", "## Move a live workload")
	if len(typed) != 7 {
		t.Fatalf("the page has %d blocks of commands", len(typed))
	}
	a := harness.Prepare(t, env, harness.Options{})
	s := a.Terminal()
	s.Run("kubectl delete httproute,service --all")
	files := fmt.Sprintf(toConvert, a.Host(), cluster.GatewayName, cluster.GatewayNamespace, builder.ImageV1)
	installPeers(s)
	s.Run("kubectl apply -f - <<'end'\n" + files + "end")
	s.Run("kubectl scale deployment podinfo --replicas=0; kubectl patch canaries.flagger.app podinfo --type=merge -p '{\"status\": {\"phase\": \"Succeeded\"}}'")
	s.Run("kubectl apply -f - <<'end'\n" + fmt.Sprintf(ofFlagger, a.Host(), cluster.GatewayName, cluster.GatewayNamespace, builder.ImageV1) + "end")
	s.Run(`uid=$(kubectl get canaries.flagger.app podinfo -o jsonpath='{.metadata.uid}')
kubectl patch deployment/podinfo-primary service/podinfo service/podinfo-primary service/podinfo-canary httproute/podinfo --type=merge -p '{"metadata": {"ownerReferences": [
  {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo", "uid": "'$uid'", "controller": true, "blockOwnerDeletion": true}]}}'
kubectl rollout status deployment/podinfo-primary --timeout=1m`)
	a.Eventually("the gateway to answer", func() (bool, string) {
		status := answer(t, a, harness.HTTPRoute.Path)
		return status == http.StatusOK, fmt.Sprint(status)
	})
	a.Traffic = a.Load(harness.HTTPRoute, harness.HTTPRoute.Path, 150)

	convertTo(t, filepath.Join(s.Dir, "converted"), files)
	for _, commands := range typed {
		s.Run(commands)
	}
	s.Run("kubectl patch canaryrollout podinfo --type=json -p '[{\"op\": \"replace\", \"path\": \"/spec/template/spec/containers/0/image\", \"value\": \"" + builder.ImageV2 + "\"}]'")
	s.Run("kubectl wait --for=jsonpath='{.status.weight}'=50 --timeout=1m canaryrollout/podinfo")
	s.Run("kubectl annotate canaryrollout podinfo canaryrollout.dev/promote=full")
	s.Run("kubectl wait --for=jsonpath='{.status.state}'=Healthy --timeout=2m canaryrollout/podinfo")
	released := time.Now()
	a.Eventually("the new version alone to answer", func() (bool, string) {
		stats := a.Traffic.Since(released.Add(harness.Settle))
		return len(stats.ByVersion) == 1 && stats.ByVersion["v2"] > 100, stats.String()
	})
	a.CheckLoss()
}

// convertTo writes what kubectl canary convert makes of the files to a folder.
func convertTo(t *testing.T, folder, files string) {
	t.Helper()
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	result := convert.Convert([]lint.Source{{Name: "flagger.yaml", Content: []byte(files)}}, convert.Options{})
	if convert.ExitCode(result.Report) == 2 {
		t.Fatal(result.Report)
	}
	for _, object := range result.Objects {
		content, err := object.YAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, object.FileName()), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
