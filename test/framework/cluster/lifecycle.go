// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

// Annotations on a pod that control its life cycle. They can be set in the pod template or on the running pod.
const (
	// ReadyAfter delays a pod's readiness by a Go duration such as "5s". The delay restarts with every change of the
	// pod object, and also when Fail is removed.
	ReadyAfter = "test.canaryrollout.dev/ready-after"
	// NeverReady, when "true", keeps a pod running but not Ready.
	NeverReady = "test.canaryrollout.dev/never-ready"
	// Fail, when "true", makes a Ready pod not Ready, like a failing readiness probe. When it is removed, the pod
	// recovers.
	Fail = "test.canaryrollout.dev/fail"
)

// Fixed addresses inside the namespaces.
const (
	// APIAddress is where the API server listens. Its certificate is valid for 127.0.0.1 on any port.
	APIAddress = "127.0.0.1:16443"
	// NodeAddress is a non-loopback address of the machine.
	NodeAddress = "10.99.0.1"
	// GatewayAddress is where Traefik serves HTTP; the Host header selects the route.
	GatewayAddress = "127.0.0.1:8000"
	// TLSAddress is where Traefik serves TLS that is terminated by the pods, and TCPAddress where it serves TCP, with
	// Options.Streams.
	TLSAddress = "127.0.0.1:8101"
	TCPAddress = "127.0.0.1:8100"
	// PrometheusAddress is where Prometheus serves its HTTP API, with Options.Prometheus.
	PrometheusAddress = "127.0.0.1:9090"
	// PodPort is the port that pods are expected to serve on; the package backend listens there.
	PodPort = 9080
)

// The Gateway that Start creates. It accepts routes from every namespace, on its listener "http".
const (
	GatewayNamespace = "default"
	GatewayName      = "http-gateway"
	// StreamGatewayName is the Gateway for Options.Streams, with the listeners "tls" and "tcp".
	StreamGatewayName = "stream-gateway"
)
