// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"path/filepath"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
)

// SecondGateway is the name suffix of the second Gateway that a strict gateway implements.
const SecondGateway = "-two"

// StartGateway starts a strict gateway for the test's app, named after the app's namespace. It also implements a
// second Gateway, and the other given parents.
func StartGateway(t *testing.T, env *Env, behaviour fakegateway.Behaviour, parents ...gatewayv1.ParentReference) *fakegateway.Gateway {
	t.Helper()
	name := NamespaceOf(t)
	g, err := fakegateway.Start(t.Context(), env.Cluster.RESTConfig(cluster.Admin), fakegateway.Options{
		Address: cluster.NodeAddress + ":0", // probes may not reach a loopback address
		Name:    name, Others: []string{name + SecondGateway}, OtherParents: parents, Namespace: cluster.GatewayNamespace, Watch: name,
		AccessLog: filepath.Join(env.Cluster.Dir, name+"-access.log"), Behaviour: behaviour, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Logf("the gateway answered itself, by status: %v", g.Counts())
		if err := errors.Join(g.Failed(), g.Stop()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// Behind adds a strict gateway to the options of an app. The route attaches to both of its Gateways.
func Behind(g *fakegateway.Gateway, options Options) Options {
	options.Gateway = &Gateway{Parents: g.Parents(), Address: g.Address(), AccessLog: g.AccessLog()}
	return options
}
