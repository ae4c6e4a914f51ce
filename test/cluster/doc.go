// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster runs a real Kubernetes cluster on one machine, without images, downloads or privileges on the host:
// etcd, the API server, the controller manager and the scheduler of one pinned release, KWOK in the place of the
// kubelet, and Traefik as the Gateway API implementation with real HTTP traffic. All of it is built once from Go
// modules (hack/tools) into the user's cache folder.
//
// Everything lives in private network, process and mount namespaces, so ports are fixed, nothing collides with the
// host and nothing is left behind: when the program that called [Isolate] ends, however it ends, the kernel ends the
// rest.
//
//	func TestMain(m *testing.M) {
//		cluster.Isolate() // builds what is missing, then runs this same program again inside the namespaces
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
//		... // run the manager with c.RESTConfig(cluster.Operator): the rights of its shipped role and no more
//		traffic.Stop()
//		if lost := traffic.Failures(); len(lost) > 0 {
//			t.Errorf("lost %d requests, the first: %v; logs in %s", len(lost), lost[0], c.Dir)
//		}
//	}
//
// # The network inside
//
// The API server answers at [APIAddress], the gateway at [GatewayAddress] (Gateway [GatewayNamespace]/[GatewayName]).
// Every address of the pod range is local, so one listener on [PodPort] can answer for every pod: see the package
// backend. Services have cluster IPs but nothing routes them; Traefik dials endpoints.
//
// A terminal on the host reaches an address inside when it is handed to Isolate as an [Expose]; [Outside] then tells
// where.
//
// # Pods
//
// A pod runs and is Ready as soon as it is scheduled. The annotations [ReadyAfter], [NeverReady] and [Fail] on the pod
// (or its template) change that. A pod that is deleted lives on for its grace period. No pod IP is used twice.
//
// # Faults
//
// [Cluster.Process] gives the processes by name, to signal, stop and restart. With [Options.LateEndpoints] the
// EndpointSlice controller is a process of its own, which [Cluster.PauseEndpointSlices] holds still.
package cluster
