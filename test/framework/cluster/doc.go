// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a real Kubernetes cluster on one machine, without images, downloads or privileges on the host:
// etcd, the API server, the controller manager and the scheduler of one pinned release, KWOK instead of the kubelet,
// and Traefik as the Gateway API implementation with real HTTP traffic. All of it is built once from Go modules
// (hack/tools) into the user's cache folder. Where a gateway only has to follow the Gateway API, [BuiltinGateway] takes the
// place of Traefik and saves its build.
//
// Everything runs in private network, process and mount namespaces, so ports are fixed, nothing conflicts with the
// host and nothing is left behind: when the program that called [Isolate] ends, for whatever reason, the kernel kills
// the rest.
//
//	func TestMain(m *testing.M) {
//		cluster.Isolate() // builds what is missing, then reruns this program inside the namespaces
//		os.Exit(m.Run())
//	}
//
//	func TestSomething(t *testing.T) {
//		c, err := cluster.Start(t.Context(), cluster.Options{Manifests: [][]byte{crd, rbac}})
//		if err != nil {
//			t.Fatal(err)
//		}
//		t.Cleanup(func() { c.Cleanup(t.Failed()) }) // a failed test keeps c.Dir, with the log of every process
//
//		pods, err := backend.Start(t.Context(), c.RESTConfig(cluster.Admin)) // answers for every Ready pod, on its IP
//		...
//		err = cluster.Apply(t.Context(), c.RESTConfig(cluster.Admin), workload) // server-side apply of YAML
//		...
//		traffic := load.Start(t.Context(), load.Options{Host: "shop.example.com", Rate: 100})
//		... // run the manager with c.RESTConfig(cluster.Operator): exactly the rights of its shipped role
//		traffic.Stop()
//		if lost := traffic.Failures(); len(lost) > 0 {
//			t.Errorf("lost %d requests, the first: %v; logs in %s", len(lost), lost[0], c.Dir)
//		}
//	}
//
// # The network inside
//
// The API server listens on [APIAddress], the gateway on [GatewayAddress] (Gateway [GatewayNamespace]/[GatewayName]).
// Every address of the pod range is local, so one listener on [PodPort] can answer for every pod: see the package
// backend. Services have cluster IPs but nothing routes them; the gateway connects to endpoints.
//
// To reach an address inside from a terminal on the host, pass it to Isolate as an [Expose]; [Outside] then returns
// the address on the host.
//
// # Pods
//
// A pod is running and Ready as soon as it is scheduled. The annotations [ReadyAfter], [NeverReady] and [Fail] on the
// pod (or its template) change that. A deleted pod lives on for its grace period. No pod IP is reused.
//
// The variables ERROR_PERCENT and LATENCY in the environment of a pod make it answer badly: see the package backend.
//
// # Metrics
//
// With [Options.Prometheus], a real Prometheus scrapes the gateway, and answers queries on [PrometheusAddress].
// [Cluster.StopPrometheus] and [Cluster.StartPrometheus] make an outage of it.
//
// # Faults
//
// [Cluster.Process] returns a process by name, to signal, stop and restart it. With [Options.LateEndpoints] the
// EndpointSlice controller is a separate process, which [Cluster.PauseEndpointSlices] pauses.
package cluster
