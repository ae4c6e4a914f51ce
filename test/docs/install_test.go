// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import "testing"

// testInstall starts with an operator that runs on this machine, and stops it where the page assumes that it is gone.
func testInstall(t *testing.T, stopOperator func()) {
	p := open(t, "docs/install.md", "shop-two")
	inRoot := *p.Terminal
	inRoot.Dir = root
	deploySample(p, "shop-two")
	p.leave("make docker-build", needsImage)
	p.run("kubectl delete canaryrollouts -A --all --wait\n")
	const removeCRD = "kubectl delete crd canaryrollouts.canaryrollout.dev canarymetrics.canaryrollout.dev"
	p.Run(removeCRD) // back to a cluster without anything of ours

	p.run("helm install canaryrollout ./config/chart -n canaryrollout-system")
	p.run("kubectl label namespace")
	p.run("helm upgrade")
	deploySample(p, "shop-two")
	revision := p.Run("kubectl get canaryrollout reviews -o jsonpath='{.status.revision}'")
	p.run("kubectl delete canaryrollouts -A --all --wait --cascade=orphan")
	p.shows(p.Run("kubectl get rs"), "(?m)^reviews-"+revision+" +4 +4 +4")
	p.run("helm uninstall")
	p.Run("kubectl get crd canaryrollouts.canaryrollout.dev")
	readme := read(t, p.Terminal, "README.md").lines("make docker-build")
	p.Run(readme[2] + "\n" + readme[3])

	stopOperator()
	p.Run("kubectl apply -f sample.yaml")
	p.Run(`kubectl patch canaryrollout reviews --type=merge -p '{"metadata":{"finalizers":["canaryrollout.dev/traffic"]}}'`)
	p.Run("kubectl delete canaryrollout reviews --wait=false")
	p.run("kubectl patch canaryrollout")
	p.Run("kubectl wait --for=delete --timeout=1m canaryrollout/reviews")
	p.run("helm uninstall") // removes the CRD, too

	for _, namespace := range []string{"shop", "books"} {
		p.Run("kubectl create namespace " + namespace + " --dry-run=client -o yaml | kubectl apply -f -")
	}
	p.run("helm install canaryrollout ./config/chart -n shop-operator")
	p.Run("helm uninstall canaryrollout -n shop-operator && " + removeCRD)
	p.run("helm install canaryrollout ./config/chart -n shop-operator")
	p.Run("helm uninstall canaryrollout -n shop-operator && kubectl delete namespace canaryrollout-system")

	inRoot.Run(p.next("make install deploy"))
	p.shows(p.Run("kubectl get crd,deployments -A -o name"), "canaryrollout")
	inRoot.Run(p.next("make undeploy"))
	p.Run("! kubectl get crd,clusterroles,namespaces -o name | grep canaryrollout")
	p.end()
}
