// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net"
	"path/filepath"
)

// Names of the processes, for [Cluster.Process]. Each process logs to the file of that name in [Cluster.Dir].
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	EndpointSlices    = "endpointslice-controller" // only with [Options.LateEndpoints]
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
	Traefik           = "traefik"    // only with [TraefikGateway]
	Prometheus        = "prometheus" // only with [Options.Prometheus]
)

const etcdAddress = "127.0.0.1:12379"

func (c *Cluster) components() []*Process {
	all := []*Process{
		c.process(Etcd, Etcd, c.etcdArgs),
		c.process(APIServer, APIServer, c.apiServerArgs),
		c.process(ControllerManager, ControllerManager, c.controllerManagerArgs),
		c.process(Scheduler, Scheduler, c.schedulerArgs),
		c.process(Kwok, Kwok, c.kwokArgs),
	}
	if c.options.Gateway == TraefikGateway {
		all = append(all, c.process(Traefik, Traefik, c.traefikArgs))
	}
	if c.options.LateEndpoints {
		all = append(all, c.process(EndpointSlices, ControllerManager, c.endpointSlicesArgs))
	}
	if c.options.Prometheus {
		all = append(all, c.process(Prometheus, Prometheus, prometheusArgs))
	}
	return all
}

func (c *Cluster) process(name, binary string, args func(int) []string) *Process {
	return &Process{name: name, path: c.assets.Binaries[binary], dir: c.Dir, args: args, died: c.died}
}

// etcdArgs trades durability after a power cut for speed.
func (c *Cluster) etcdArgs(int) []string {
	const client, peer = "http://" + etcdAddress, "http://127.0.0.1:12380"
	return []string{
		"--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
	}
}

// apiServerArgs sets an advertised address because the API server cannot detect one: there is no default route. The
// ServiceAccount plugin is disabled because pods have no service account volumes. The audit log is written before a
// request is answered, and never rotated, so that counts are exact. The in-flight limits are those of a control plane with more cores.
func (c *Cluster) apiServerArgs(int) []string {
	host, port, _ := net.SplitHostPort(APIAddress)
	return []string{
		"--etcd-servers=http://" + etcdAddress,
		"--bind-address=" + host, "--secure-port=" + port, "--advertise-address=10.99.0.1",
		"--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=tls.crt", "--tls-private-key-file=tls.key", "--cert-dir=certs",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=sa.key", "--service-account-signing-key-file=sa.key",
		"--token-auth-file=tokens.csv", "--authorization-mode=RBAC",
		"--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
		"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
		"--max-requests-inflight=3000", "--max-mutating-requests-inflight=1500",
		"--audit-policy-file=audit-policy.yaml", "--audit-log-path=" + c.AuditLog(), "--audit-log-mode=blocking", "--audit-log-maxsize=100000",
	}
}

// controllerManagerArgs disables the controllers for real nodes.
func (c *Cluster) controllerManagerArgs(int) []string {
	controllers := "*,-node-lifecycle-controller,-node-ipam-controller"
	if c.options.LateEndpoints {
		controllers += ",-endpointslice-controller"
	}
	return c.controllers(controllers, 10257)
}

func (c *Cluster) endpointSlicesArgs(int) []string {
	return c.controllers("endpointslice-controller", 10258)
}

func (c *Cluster) controllers(names string, port int) []string {
	return append(c.client(controllerManager, fmt.Sprintf("certs-%d", port)),
		"--controllers="+names, "--horizontal-pod-autoscaler-sync-period=2s", fmt.Sprintf("--secure-port=%d", port),
		"--service-account-private-key-file=sa.key", "--use-service-account-credentials=false")
}

func (c *Cluster) schedulerArgs(int) []string { return c.client(scheduler, "certs-scheduler") }

// client returns the flags that the controller manager and the scheduler share.
func (c *Cluster) client(user User, certificates string) []string {
	config := c.Kubeconfig(user)
	return []string{
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--cert-dir=" + certificates, "--leader-elect=false",
		"--kube-api-qps=2000", "--kube-api-burst=4000",
	}
}

// kwokArgs moves to the next address range with every start: kwok assigns addresses from the first one on, and does
// not know which ones an earlier run assigned.
func (c *Cluster) kwokArgs(start int) []string {
	return []string{
		"--kubeconfig=" + c.Kubeconfig(kubelet), "--manage-all-nodes=true", "--config=stages.yaml",
		fmt.Sprintf("--cidr=10.%d.0.0/16", 244+start%4), "--node-ip=10.99.0.1",
	}
}

func (c *Cluster) traefikArgs(int) []string {
	const provider = "--providers.kubernetesgateway"
	args := []string{
		provider + "=true", provider + ".endpoint=https://" + APIAddress,
		provider + ".token=" + c.credentials.tokens[gateway],
		provider + ".certauthfilepath=" + filepath.Join(c.Dir, "tls.crt"),
		provider + ".statusaddress.ip=127.0.0.1",
		"--providers.providersThrottleDuration=" + c.options.Throttle.String(),
		"--entrypoints.web.address=:8000", "--log.level=INFO", "--log.nocolor=true",
		"--accesslog=true", "--accesslog.filepath=" + c.AccessLog(), "--accesslog.format=json",
		"--accesslog.filters.statuscodes=400-599", "--accesslog.fields.headers.names.X-Request-Id=keep",
		"--global.checknewversion=false", "--global.sendanonymoususage=false",
	}
	if c.options.Streams {
		args = append(args, provider+".experimentalchannel=true", "--entrypoints.tls.address=:8101", "--entrypoints.tcp.address=:8100")
	}
	if c.options.Prometheus {
		args = append(args, "--metrics.prometheus=true", "--metrics.prometheus.entrypoint=metrics", "--entrypoints.metrics.address="+gatewayMetricsAddress)
	}
	return args
}
