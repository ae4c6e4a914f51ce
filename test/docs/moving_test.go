// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strings"
	"testing"
)

// deployment is migrated in docs/coming-from-a-deployment.md.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews, labels: {app: reviews}}
spec:
  replicas: 2
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews}}
    spec: {containers: [{name: reviews, image: "istio/examples-bookinfo-reviews-v1:1.20.2", ports: [{containerPort: 9080}], env: [{name: A, value: a}]}]}
`

// around has the objects that use the Deployment.
const around = `
apiVersion: v1
kind: Service
metadata: {name: reviews, labels: {app: reviews}}
spec: {ports: [{port: 9080, name: http}], selector: {app: reviews}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [deployment.example.com]
  rules: [{backendRefs: [{name: reviews, port: 9080}]}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: reviews}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: reviews}
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`

func testDeployment(t *testing.T) {
	p := open(t, "docs/coming-from-a-deployment.md", "deployment")
	needsJQ(t)
	write(p, "deployment.yaml", deployment)
	write(p, "around.yaml", around)
	p.Run("kubectl apply -f deployment.yaml -f around.yaml && kubectl rollout status deployment/reviews")
	p.run("kubectl get service")
	p.run("kubectl patch httproute")
	p.shows(p.run("kubectl get deployment"), "created .server dry run.")
	before := pods(p)
	p.run("kubectl get pods")
	p.shows(p.run("kubectl wait"), `(?s)RevisionAdopted.*reviews=100 reviews-canary=0`)
	p.run("kubectl get rs")
	if after := pods(p); after != before {
		t.Errorf("the pods were %s, and are %s", before, after)
	}
	p.run("kubectl patch hpa")
	p.run("kubectl patch canaryrollout reviews --type=json")
	p.run("kubectl patch canaryrollout reviews --type=merge")
	p.until("{.status.pause.reason}", "PauseStep")
	p.Run("kubectl canary undo reviews && kubectl canary status reviews --wait --timeout=2m")
	p.run("kubectl delete canaryrollout")
	if after := pods(p); after != before {
		t.Errorf("the pods were %s, and are %s after the way back", before, after)
	}
	p.end()
}

// pods returns the names of the pods that are not terminating.
func pods(p *page) string {
	p.t.Helper()
	return p.Run(`kubectl get pods -l app=reviews -o go-template='{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}'`)
}

// former has the objects of Argo Rollouts: the pods of a Rollout, and Services that select them.
const former = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: reviews-rollout-6d4, labels: {app: reviews, rollouts-pod-template-hash: 6d4}}
spec:
  replicas: 2
  selector: {matchLabels: {app: reviews, rollouts-pod-template-hash: 6d4}}
  template:
    metadata: {labels: {app: reviews, rollouts-pod-template-hash: 6d4}}
    spec: {containers: [{name: reviews, image: "istio/examples-bookinfo-reviews-v1:1.20.2", ports: [{containerPort: 9080}]}]}
`

func testArgo(t *testing.T) {
	p := open(t, "docs/coming-from-argo-rollouts.md", "argo")
	deploySample(p, "argo")
	p.Run("kubectl delete canaryrollout reviews")
	write(p, "former.yaml", former)
	p.Run("kubectl apply -f former.yaml && kubectl wait --for=jsonpath='{.status.readyReplicas}'=2 --timeout=1m rs/reviews-rollout-6d4")
	for _, service := range []string{"reviews-stable", "reviews-canary"} {
		p.Run("kubectl patch service " + service + ` --type=merge -p '{"spec": {"selector": {"rollouts-pod-template-hash": "6d4"}}}'`)
	}
	write(p, "canaryrollout.yaml", p.Run("cat config/samples/reviews/canaryrollout.yaml"))
	p.Run("mkdir deploy")
	write(p, "deploy/rollout.yaml", p.manifest("kind: Rollout"))
	write(p, "deploy/route.yaml", p.Run("kubectl get services,httproutes -o yaml"))
	p.run("kubectl canary convert")
	p.leave("kubectl canary convert", isTested)
	p.run("kubectl canary lint")
	p.leave("kubectl apply -f converted/", isTested)

	first := p.lines("kubectl wait --for=jsonpath='{.status.phase}'")
	t.Logf("left out: %s: %s", first[0], needsTool)
	old := strings.Fields(p.Run(strings.Join(first[1:], "\n")))
	p.Variables = append(p.Variables, "old="+old[len(old)-1])
	p.run("kubectl apply -f canaryrollout.yaml")
	p.until("{.status.conditions[?(@.type==\"Stalled\")].reason}", "ServiceSelectorMismatch")
	p.leave("kubectl delete rollout", needsTool)
	p.run("for service in")
	p.shows(p.run("kubectl wait --for=condition=Ready"), `(?m)^reviews-\w+-\w+$`)
	p.run("sleep 30")
	p.Run("kubectl wait --for=jsonpath='{.status.replicas}'=0 --timeout=1m rs/reviews-rollout-6d4")

	release(p, "v2")
	write(p, "metrics-are-good", "#!/bin/sh\n")
	p.run("now=")
	p.until("{.status.step}", "5/12")
	p.end()
}

func testFlagger(t *testing.T) {
	p := open(t, "docs/coming-from-flagger.md", "flagger")
	canary, workload, _ := strings.Cut(p.manifest("kind: Canary"), "---\n")
	write(p, "canary.yaml", canary)
	write(p, "deployment.yaml", workload)
	p.refused("kubectl canary convert", "found 0 errors and 1 loss")
	p.run("kubectl canary lint")
	for range 8 {
		p.leave("", isTested)
	}
	p.end()
}
