// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart installs the Helm chart, config/chart, into a real cluster. The pods of its Deployment are admitted and
// scheduled, but run nothing. So the manager runs as a process, with exactly the flags of these pods and with a token of
// their service account. Tests of the chart without a cluster are in hack/chart.
package chart

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

const (
	name      = "canaryrollout"
	namespace = cluster.OperatorNamespace
	manager   = "canaryrollout-controller-manager"
	crd       = "canaryrollouts.canaryrollout.dev"
	lease     = "manager.canaryrollout.dev"
)

// env is one cluster for all tests. Each test installs the chart again, so none is parallel.
var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{Bare: true, Build: []harness.Build{helm.Build, buildPlugin}})
}

// pluginVariable holds the path of the plugin, for the program inside the cluster's namespaces.
const pluginVariable = "CANARYROLLOUT_PLUGIN"

func buildPlugin(progress io.Writer) error {
	return repository.Build(progress, pluginVariable, "cmd/kubectl-canary", false)
}

// release is the installed chart and its manager.
type release struct {
	t         *testing.T
	client    helm.Client
	installed bool
	operator  *operator.Operator
	// config has the rights of the service account at the last start.
	config *rest.Config
}

// install installs a chart with helm, without starting the manager. At the end of the test, all rollouts are deleted, and
// then the release, in the documented order.
func install(t *testing.T, chart string, args ...string) *release {
	t.Helper()
	r := &release{t: t, client: helm.Client{Home: t.TempDir(), Kubeconfig: env.Cluster.Kubeconfig(cluster.Admin)}}
	t.Cleanup(r.remove)
	kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
	r.install(chart, args...)
	return r
}

func (r *release) install(chart string, args ...string) {
	r.t.Helper()
	r.helm(append([]string{"install", name, chart, "--namespace=" + namespace, "--create-namespace"}, args...)...)
	r.installed = true
	r.waitForPods()
	if err := cluster.WaitForCRDs(r.t.Context(), env.Cluster.RESTConfig(cluster.Admin), crd); err != nil {
		r.t.Fatal(err)
	}
}

func (r *release) upgrade(args ...string) {
	r.t.Helper()
	r.helm(append([]string{"upgrade", name, helm.Chart(), "--namespace=" + namespace}, args...)...)
	r.waitForPods()
}

func (r *release) uninstall() string {
	r.t.Helper()
	output := r.helm("uninstall", name, "--namespace="+namespace)
	r.installed = false
	return output
}

// takeLease deletes the lease of a manager that lost its rights before it could release it. The next manager would wait
// fifteen seconds for it.
func (r *release) takeLease() {
	r.t.Helper()
	kubectl(r.t, "delete", "lease", lease, "-n", namespace)
}

func (r *release) helm(args ...string) string {
	r.t.Helper()
	output, err := r.client.Run(r.t.Context(), args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return output
}

func (r *release) waitForPods() {
	r.t.Helper()
	kubectl(r.t, "rollout", "status", "-n", namespace, "deployment/"+manager, "--timeout=1m")
}

// start runs the manager as its pods would. A pod reads its namespace, which has its lease, from a file; the manager gets
// it as a flag here. A flag of the chart overrides it.
func (r *release) start() {
	r.t.Helper()
	pod := r.deployment().Spec.Template.Spec
	r.config = r.actAs(pod.ServiceAccountName)
	started, err := operator.Start(r.t.Context(), env.Cluster, operator.Options{
		Args: pod.Containers[0].Args, Kubeconfig: writeKubeconfig(r.t, r.config),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.operator = started
}

func (r *release) stop() {
	r.t.Helper()
	if err := r.operator.Stop(); err != nil {
		r.t.Error(err)
	}
	r.operator = nil
}

func (r *release) deployment() *appsv1.Deployment {
	r.t.Helper()
	deployment := &appsv1.Deployment{}
	if err := env.Admin.Get(r.t.Context(), client.ObjectKey{Namespace: namespace, Name: manager}, deployment); err != nil {
		r.t.Fatal(err)
	}
	return deployment
}

// actAs returns the configuration of a client with a token of this service account, as a pod has.
func (r *release) actAs(serviceAccount string) *rest.Config {
	r.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccount}}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)},
	}
	if err := env.Admin.SubResource("token").Create(r.t.Context(), account, request); err != nil {
		r.t.Fatal(err)
	}
	config := env.Cluster.RESTConfig(cluster.Operator)
	config.BearerToken = request.Status.Token
	return config
}

func writeKubeconfig(t *testing.T, from *rest.Config) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: from.Host, CertificateAuthorityData: from.CAData}
	config.AuthInfos["manager"] = &clientcmdapi.AuthInfo{Token: from.BearerToken}
	config.Contexts["cluster"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "manager"}
	config.CurrentContext = "cluster"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// remove cleans up for the next test, even if this one has failed.
func (r *release) remove() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 3*time.Minute)
	defer cancel()
	if r.operator != nil {
		if output, err := runKubectl(ctx, "delete", "canaryrollouts", "-A", "--all", "--wait", "--timeout=90s"); err != nil {
			r.t.Errorf("deleting the rollouts: %v\n%s", err, output)
		}
		r.stop()
	}
	if r.installed {
		if _, err := r.client.Run(ctx, "uninstall", name, "--namespace="+namespace); err != nil {
			r.t.Error(err)
		}
	}
}

// kubectl runs kubectl as an administrator, and returns its output.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := runKubectl(t.Context(), args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

func runKubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "kubectl", args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(cluster.Admin),
		"KUBECACHEDIR="+filepath.Join(env.Cluster.Dir, "kubectl-cache"))
	var both bytes.Buffer
	command.Stdout, command.Stderr = &both, &both
	err := command.Run()
	return both.String(), err
}
