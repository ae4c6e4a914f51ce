// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

// Annotations on a pod that steer how it lives. They may be set in the pod template or on the running pod.
const (
	// ReadyAfter delays a pod's readiness by a Go duration such as "5s". The time runs anew with every change of the
	// pod's object, and also when Fail is taken off.
	ReadyAfter = "test.canaryrollout.dev/ready-after"
	// NeverReady, when "true", keeps a pod running but not Ready.
	NeverReady = "test.canaryrollout.dev/never-ready"
	// Fail, when "true", turns a Ready pod not Ready, as a failing readiness probe does. Removed, the pod recovers.
	Fail = "test.canaryrollout.dev/fail"
)

// Fixed addresses inside the namespaces.
const (
	// APIAddress is where the API server listens. Its certificate is valid for 127.0.0.1 whatever the port.
	APIAddress = "127.0.0.1:16443"
	// NodeAddress is an address of the one machine that is no loopback address.
	NodeAddress = "10.99.0.1"
	// GatewayAddress is where Traefik takes HTTP requests; the Host header chooses the route.
	GatewayAddress = "127.0.0.1:8000"
	// TLSAddress is where it takes TLS that ends at the pods, and TCPAddress where it takes TCP, with Options.Streams.
	TLSAddress = "127.0.0.1:8101"
	TCPAddress = "127.0.0.1:8100"
	// PodPort is the port that pods are expected to serve on; the package backend answers there.
	PodPort = 9080
)

// The Gateway that Start makes. It takes routes from every namespace, on its listener "http".
const (
	GatewayNamespace = "default"
	GatewayName      = "http-gateway"
	// StreamGatewayName is the one of Options.Streams, with the listeners "tls" and "tcp".
	StreamGatewayName = "stream-gateway"
)
