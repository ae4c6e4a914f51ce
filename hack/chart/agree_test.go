// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// TestChartIsKustomization: object by object, the chart with its default values installs the same as config/default.
func TestChartIsKustomization(t *testing.T) {
	want, got := byName(kustomization(t)), byName(objects(t))
	// A chart does not create the namespace that it is installed in.
	delete(want, "Namespace "+namespace)
	if diff := cmp.Diff(sets.List(sets.KeySet(want)), sets.List(sets.KeySet(got))); diff != "" {
		t.Errorf("other objects than in config/default (-want +got):\n%s", diff)
	}
	for name := range want {
		if got[name] == nil {
			continue
		}
		if diff := cmp.Diff(essence(want[name]), essence(got[name])); diff != "" {
			t.Errorf("%s is not as in config/default (-want +got):\n%s", name, diff)
		}
	}
}

// kustomization returns what `kubectl apply -k config/default` sends.
func kustomization(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", config+"/default").Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v", err)
	}
	return decode(t, string(output))
}

func byName(list []*unstructured.Unstructured) map[string]*unstructured.Unstructured {
	named := map[string]*unstructured.Unstructured{}
	for _, object := range list {
		name := object.GetKind() + " " + strings.TrimPrefix(object.GetNamespace()+"/"+object.GetName(), "/")
		named[name] = object
	}
	return named
}

// essence returns an object without what charts add by convention: labels that identify a release, and explicit
// defaults. Labels that aggregate a role into another one are kept.
func essence(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	labels := map[string]string{}
	for key, value := range object.GetLabels() {
		if strings.HasPrefix(key, rbacv1.GroupName) {
			labels[key] = value
		}
	}
	object.SetLabels(labels)
	annotations := object.GetAnnotations()
	delete(annotations, "helm.sh/resource-policy")
	object.SetAnnotations(annotations)
	if object.GetKind() == "Deployment" {
		// TestArguments compares the arguments.
		container := containerOf(object)
		delete(container, "args")
		delete(container, "imagePullPolicy")
	}
	removeKey(object.Object, "app.kubernetes.io/instance")
	return object.Object
}

func containerOf(deployment *unstructured.Unstructured) map[string]any {
	template := deployment.Object["spec"].(map[string]any)["template"].(map[string]any)
	return template["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
}

// removeKey removes a key from all maps below node.
func removeKey(node any, key string) {
	switch node := node.(type) {
	case map[string]any:
		delete(node, key)
		for _, below := range node {
			removeKey(below, key)
		}
	case []any:
		for _, below := range node {
			removeKey(below, key)
		}
	}
}

// TestArguments: the chart starts the manager as config/default does, with some defaults spelled out.
func TestArguments(t *testing.T) {
	args := func(list []*unstructured.Unstructured) []any {
		for _, object := range list {
			if object.GetKind() == "Deployment" {
				return containerOf(object)["args"].([]any)
			}
		}
		return nil
	}
	got := args(objects(t))
	for _, arg := range args(kustomization(t)) {
		if !slices.Contains(got, arg) {
			t.Errorf("config/default has %s, the chart has %v", arg, got)
		}
	}
	defaults := []any{"--metrics-secure=true", "--zap-log-level=info", "--zap-encoder=json"}
	if want := append(args(kustomization(t)), defaults...); len(got) != len(want) {
		t.Errorf("the chart has %v, want %v", got, want)
	}
}

// TestArgumentsAreStrings: without quotes, an argument that ends in a colon is a map in YAML, and the API server
// refuses it.
func TestArgumentsAreStrings(t *testing.T) {
	deployment := &appsv1.Deployment{}
	typed(t, objects(t, `--set-json=probeAllow=["*.infra.svc", "fd00::"]`), "Deployment", deployment)
	if args := deployment.Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--probe-allow=*.infra.svc,fd00::") {
		t.Errorf("the arguments are %q", args)
	}
}

// TestShutdownWithinGrace: the manager releases its lease before the kubelet kills it. Otherwise the next leader
// waits until the lease has expired.
func TestShutdownWithinGrace(t *testing.T) {
	sets := map[string][]*unstructured.Unstructured{"config/default": kustomization(t), "the shortest": objects(t, "--set=terminationGracePeriodSeconds=2")}
	for name, file := range valueSets(t) {
		sets[name] = objects(t, "--values="+file)
	}
	for name, set := range sets {
		pod := deployments(t, set)["manager"].Spec.Template.Spec
		grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
		var shutdown time.Duration
		for _, arg := range pod.Containers[0].Args {
			if value, isShutdown := strings.CutPrefix(arg, "--shutdown-timeout="); isShutdown {
				shutdown, _ = time.ParseDuration(value)
			}
		}
		if shutdown <= 0 || shutdown >= grace {
			t.Errorf("%s: passes may take %s of a grace period of %s", name, shutdown, grace)
		}
	}
}

// TestPolicies: with the names of config/default, the chart renders config/policies; with others, the policies refer
// to the manager's actual service account. They are refused if the cluster cannot enforce them.
func TestPolicies(t *testing.T) {
	output, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", config+"/policies").Output()
	if err != nil {
		t.Fatal(err)
	}
	users, err := os.ReadFile(config + "/policies/users.yaml")
	if err != nil {
		t.Fatal(err)
	}
	enabled := []string{"--set=policies.commands=true,policies.manager=true"}
	got := byName(objects(t, append(enabled, "--set=policies.users=true", "--kube-version=1.36.0")...))
	want := byName(decode(t, string(output)+"\n---\n"+string(users)))
	if len(want) < 10 {
		t.Fatalf("config/policies has only %d objects", len(want))
	}
	for name, object := range want {
		if got[name] == nil {
			t.Errorf("%s is missing", name)
		} else if diff := cmp.Diff(essence(object), essence(got[name])); diff != "" {
			t.Errorf("%s is not as in config/policies (-want +got):\n%s", name, diff)
		}
	}
	text, err := template(t, append(enabled, "--set=fullnameOverride=shop,serviceAccount.name=releaser")...)
	if err != nil {
		t.Fatal(err)
	}
	if account := "'system:serviceaccount:" + namespace + ":releaser'"; strings.Count(text, account) != 3 {
		t.Errorf("the policies are not about %s", account)
	}
	if strings.Contains(text, "canaryrollout-manager-services") || !strings.Contains(text, "policyName: shop-manager-services\n") {
		t.Error("the policies have the names of another release")
	}
	if _, err := template(t, append(enabled, "--kube-version=1.29.3")...); err == nil || !strings.Contains(err.Error(), "policies take Kubernetes 1.30") {
		t.Errorf("on Kubernetes 1.29: %v", err)
	}
	if _, err := template(t, "--set=policies.users=true", "--kube-version=1.35.2"); err == nil || !strings.Contains(err.Error(), "takes Kubernetes 1.36") {
		t.Errorf("on Kubernetes 1.35: %v", err)
	}
}

// TestShards: each shard has its own Deployment and budget, whose pods are no others' and say which shard they have. The pods of all
// are behind the Service of the metrics.
func TestShards(t *testing.T) {
	rendered := objects(t, "--set=shards=3")
	service, selectors := &corev1.Service{}, map[string]bool{}
	typed(t, rendered, "Service", service)
	for index := range 3 {
		own := named(rendered, fmt.Sprintf("canaryrollout-controller-manager-%d", index))
		deployment, budget := &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}
		typed(t, own, "Deployment", deployment)
		typed(t, own, "PodDisruptionBudget", budget)
		pod := deployment.Spec.Template
		if flag := fmt.Sprintf("--shard=%d/3", index); !slices.Contains(pod.Spec.Containers[0].Args, flag) {
			t.Errorf("shard %d has no flag %s: %v", index, flag, pod.Spec.Containers[0].Args)
		}
		if diff := cmp.Diff(deployment.Spec.Selector, budget.Spec.Selector); diff != "" {
			t.Errorf("the budget of shard %d is about other pods: %s", index, diff)
		}
		selectors[labels.FormatLabels(deployment.Spec.Selector.MatchLabels)] = true
		for _, selector := range []map[string]string{deployment.Spec.Selector.MatchLabels, service.Spec.Selector, pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels} {
			if !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
				t.Errorf("%v does not select the pods of shard %d, with %v", selector, index, pod.Labels)
			}
		}
	}
	if len(selectors) != 3 {
		t.Errorf("the selectors of the Deployments are %v", selectors)
	}
	if one := named(objects(t, "--set=shards=1"), "canaryrollout-controller-manager"); strings.Contains(fmt.Sprint(one), "shard") {
		t.Error("a release without shards names one")
	}
}

// TestFlowControl: with other names, the objects are still about the manager's service account and its lease. They can be
// left out.
func TestFlowControl(t *testing.T) {
	other := []string{"--set=fullnameOverride=shop,serviceAccount.name=releaser,watchNamespaces={books}"}
	for _, object := range objects(t, other...) {
		if object.GetKind() != "FlowSchema" {
			continue
		}
		schema := &flowcontrolv1.FlowSchema{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, schema, true); err != nil {
			t.Error(err)
		}
		rules := schema.Spec.Rules[0]
		if account := rules.Subjects[0].ServiceAccount; account.Namespace != namespace || account.Name != "releaser" {
			t.Errorf("%s is about the service account %s of namespace %s", schema.Name, account.Name, account.Namespace)
		}
		level, namespaces := "shop", "*"
		if schema.Name == "shop-leader-election" {
			level, namespaces = "leader-election", "books"
		}
		if got := schema.Spec.PriorityLevelConfiguration.Name; got != level || rules.ResourceRules[0].Namespaces[0] != namespaces {
			t.Errorf("%s has level %s and namespaces %v", schema.Name, got, rules.ResourceRules[0].Namespaces)
		}
	}
	for _, set := range []string{"flowControl.enabled=true", "flowControl.enabled=false"} {
		output, err := template(t, "--set="+set)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(output, "\napiVersion: flowcontrol.apiserver.k8s.io/v1\n"); (got == 3) != (set == "flowControl.enabled=true") {
			t.Errorf("%s: %d objects", set, got)
		}
	}
}

// TestNamespacedRights: in each of its namespaces the manager has the rights that it otherwise has in all namespaces. Where
// it runs, it may read shared metrics. It has no rights anywhere else.
func TestNamespacedRights(t *testing.T) {
	everywhere := &rbacv1.ClusterRole{}
	typed(t, named(kustomization(t), "canaryrollout-controller-manager"), "ClusterRole", everywhere)
	rendered := objects(t, "--values=testdata/namespaced.values.yaml")
	for _, object := range rendered {
		if object.GetNamespace() == "" {
			t.Errorf("%s %s is not in a namespace", object.GetKind(), object.GetName())
		}
		if object.GetName() == "canaryrollout-shared-metrics" && object.GetNamespace() == namespace {
			continue
		}
		if isRight := strings.HasPrefix(object.GetKind(), "Role"); isRight && !slices.Contains([]string{"shop", "books"}, object.GetNamespace()) {
			t.Errorf("%s %s gives rights in namespace %s", object.GetKind(), object.GetName(), object.GetNamespace())
		}
	}
	shared := &rbacv1.Role{}
	typed(t, named(rendered, "canaryrollout-shared-metrics"), "Role", shared)
	typed(t, named(rendered, "canaryrollout-shared-metrics"), "RoleBinding", &rbacv1.RoleBinding{})
	want := []rbacv1.PolicyRule{{APIGroups: []string{"canaryrollout.dev"}, Resources: []string{"canarymetrics"}, Verbs: []string{"get", "list", "watch"}}}
	if diff := cmp.Diff(want, shared.Rules); diff != "" {
		t.Errorf("other rules for shared metrics (-want +got):\n%s", diff)
	}
	manager := named(rendered, "canaryrollout-controller-manager")
	for _, namespace := range []string{"shop", "books"} {
		own := slices.DeleteFunc(slices.Clone(manager), func(o *unstructured.Unstructured) bool { return o.GetNamespace() != namespace })
		here := &rbacv1.Role{}
		typed(t, own, "Role", here)
		typed(t, own, "RoleBinding", &rbacv1.RoleBinding{})
		if diff := cmp.Diff(everywhere.Rules, here.Rules); diff != "" {
			t.Errorf("other rules in %s than cluster-wide (-want +got):\n%s", namespace, diff)
		}
	}
}

func named(list []*unstructured.Unstructured, name string) []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(list), func(o *unstructured.Unstructured) bool { return o.GetName() != name })
}

// TestRoleHoldsForItsNamespace: the manager gets the Namespace of a rollout that is deleted. A Role in the namespace
// allows it, because the API server treats that request as one in the namespace; no ClusterRole is needed.
func TestRoleHoldsForItsNamespace(t *testing.T) {
	resolver := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := resolver.NewRequestInfo(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/namespaces/shop", nil))
	if err != nil {
		t.Fatal(err)
	}
	if info.Verb != "get" || info.Resource != "namespaces" || info.Namespace != "shop" {
		t.Errorf("it is %s %s in namespace %q", info.Verb, info.Resource, info.Namespace)
	}
}

// TestAlertsAreShared: the alerts are rendered verbatim. Their texts contain braces.
func TestAlertsAreShared(t *testing.T) {
	want := map[string]any{}
	if err := yaml.Unmarshal([]byte(read(t, helm.Chart()+"/files/rules.yaml")), &want); err != nil {
		t.Fatal(err)
	}
	for _, object := range objects(t, "--set=prometheusRule.enabled=true") {
		if object.GetKind() != "PrometheusRule" {
			continue
		}
		if diff := cmp.Diff(want["groups"], object.Object["spec"].(map[string]any)["groups"]); diff != "" {
			t.Errorf("other alerts than in files/rules.yaml (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("no PrometheusRule was rendered")
}

// TestFilesAreCurrent: the files that the chart shares with the kustomizations are up to date.
func TestFilesAreCurrent(t *testing.T) {
	originals := map[string]string{}
	crds, err := filepath.Glob(config + "/crd/canaryrollout.dev_*.yaml")
	if err != nil || len(crds) != 2 {
		t.Fatalf("CustomResourceDefinitions %v: %v", crds, err)
	}
	for _, crd := range crds {
		originals["crd/"+filepath.Base(crd)] = crd
	}
	roles, err := filepath.Glob(config + "/rbac/*role.yaml")
	if err != nil || len(roles) == 0 {
		t.Fatalf("no roles: %v", err)
	}
	for _, role := range roles {
		originals["rbac/"+filepath.Base(role)] = role
	}
	for _, policy := range []string{"commands.yaml", "manager.yaml", "users.yaml"} {
		originals["policies/"+policy] = config + "/policies/" + policy
	}
	if alerts := config + "/alerts/rules.yaml"; exists(alerts) {
		originals["rules.yaml"] = alerts
	}
	for name, original := range originals {
		_, got, _ := strings.Cut(read(t, filepath.Join(helm.Chart(), "files", name)), "\n")
		if got != read(t, original) {
			t.Errorf("config/chart/files/%s is not %s any more: run make manifests", name, original)
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
