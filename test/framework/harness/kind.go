// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// Kind is a kind of route, with the content of an app's route of that kind.
type Kind struct {
	Name string
	// Rules are the rules of the route.
	Rules string
	// Hosts reports whether the route names the app's host.
	Hosts bool
	// Protocol is the protocol of the requests.
	Protocol load.Protocol
	// Path is the path of requests that match the rule with the pair, StableOnly the path of requests that match a
	// rule with only the stable Service; empty if there is none.
	Path, StableOnly string
}

// The kinds.
var (
	// HTTPRoute is the route of the bookinfo sample, with a filter and a timeout that must survive, a field that the
	// controller does not manage, and a second rule that uses only the stable Service.
	HTTPRoute = Kind{Name: "HTTPRoute", Hosts: true, Path: "/reviews/0", StableOnly: "/stable-only", Rules: `
  - matches: [{path: {type: PathPrefix, value: /reviews}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}]
    timeouts: {request: 20s}
    backendRefs:
    - {name: reviews-canary, port: 9080}
    - {name: reviews-stable, port: 9080}
  - matches: [{path: {type: PathPrefix, value: /stable-only}}]
    backendRefs: [{name: reviews-stable, port: 9080}]
`}
	// GRPCRoute is the equivalent for two gRPC services.
	GRPCRoute = Kind{Name: "GRPCRoute", Hosts: true, Protocol: load.GRPC, Path: "/shop.Reviews/Get", StableOnly: "/shop.Stable/Get", Rules: `
  - matches: [{method: {service: shop.Reviews}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-team, value: books}]}}]
    backendRefs:
    - {name: reviews-canary, port: 9080}
    - {name: reviews-stable, port: 9080}
  - matches: [{method: {service: shop.Stable}}]
    backendRefs: [{name: reviews-stable, port: 9080}]
`}
	// TLSRoute leaves TLS termination to the pods.
	TLSRoute = Kind{Name: "TLSRoute", Hosts: true, Protocol: load.TLS, Rules: pairAlone}
	// TCPRoute takes all connections of a listener.
	TCPRoute = Kind{Name: "TCPRoute", Protocol: load.TCP, Rules: pairAlone}
)

const pairAlone = `
  - backendRefs:
    - {name: reviews-canary, port: 9080}
    - {name: reviews-stable, port: 9080}
`

// manifest returns a route of this kind, with the name that all apps use.
func (k Kind) manifest(namespace string, parents []gatewayv1.ParentReference, host string) string {
	encoded, _ := json.Marshal(parents) // strings and numbers only
	hosts := ""
	if k.Hosts {
		hosts = fmt.Sprintf("\n  hostnames: [%s]", host)
	}
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: %s
metadata: {name: bookinfo-reviews, namespace: %s}
spec:
  parentRefs: %s%s
  rules:%s`, k.Name, namespace, encoded, hosts, k.Rules)
}
