// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/canaryrollout/canaryrollout/test/framework/golden"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

func TestLint(t *testing.T) {
	client := helm.Client{Home: t.TempDir()}
	for name, file := range valueSets(t) {
		if output, err := client.Run(t.Context(), "lint", "--strict", helm.Chart(), "--values="+file); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(output, "[WARNING]") {
			t.Errorf("%s: %s", name, output)
		}
	}
}

// TestGoldens compares the rendered output for several sets of values. `go test ./hack/chart -update` rewrites the
// files.
func TestGoldens(t *testing.T) {
	for name, file := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			output, err := template(t, "--values="+file)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, "testdata/"+name+".golden.yaml", withoutShared(output))
		})
	}
}

// withoutShared omits the long parts that are not the chart's own, which TestChartIsKustomization and
// TestAlertsAreShared compare: the schema of the CRD, and the alerts.
func withoutShared(manifest string) string {
	documents := strings.Split(manifest, "\n---\n")
	for i, document := range documents {
		for kind, field := range map[string]string{"CustomResourceDefinition": "\nspec:\n", "PrometheusRule": "\n  groups:\n"} {
			if strings.Contains(document, "\nkind: "+kind+"\n") {
				head, _, _ := strings.Cut(document, field)
				documents[i] = head + strings.TrimSuffix(field, "\n") + " # left out here"
			}
		}
	}
	return strings.Join(documents, "\n---\n")
}

// TestObjectsAreWellFormed: no field is misspelled, and each has its type. There are no types here for kinds of the Prometheus
// operator.
func TestObjectsAreWellFormed(t *testing.T) {
	for name, file := range valueSets(t) {
		t.Run(name, func(t *testing.T) { checkTypes(t, objects(t, "--values="+file)) })
	}
}

// TestNamesLikeNumbers: without quotes, names and hashes that look like numbers are numbers in YAML, and the API server refuses
// them.
func TestNamesLikeNumbers(t *testing.T) {
	names := []string{"--set-string=fullnameOverride=1234", "--set-string=serviceAccount.name=5678", `--set-json=watchNamespaces=["2024", "2025"]`}
	for name, values := range map[string][]string{
		"names": {"--set=flowControl.enabled=true"},
		// Its hash is 366088311297e043.
		"a hash": {`--set-json=metricProviders=[{"name":"default","prometheus":{"url":"http://prometheus-2037.monitoring.svc:9090"}}]`},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"template", "1", helm.Chart(), "--namespace=2"}, values...)
			for _, args := range [][]string{args, append(args, names...)} {
				output, err := helm.Client{Home: t.TempDir()}.Run(t.Context(), args...)
				if err != nil {
					t.Fatal(err)
				}
				checkTypes(t, decode(t, output))
			}
		})
	}
}

func checkTypes(t *testing.T, rendered []*unstructured.Unstructured) {
	t.Helper()
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(admissionregistrationv1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme, flowcontrolv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		rbacv1.AddToScheme, apiextensions.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	monitoring := schema.GroupVersion{Group: "monitoring.coreos.com", Version: "v1"}
	for _, object := range rendered {
		kind := object.GroupVersionKind()
		if kind.GroupVersion() == monitoring {
			continue
		}
		into, err := scheme.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
			t.Errorf("%s %s: %v", kind.Kind, object.GetName(), err)
		}
	}
}

// TestPodSecurity: the pods are admitted with Pod Security level restricted.
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for name, file := range valueSets(t) {
		for _, deployment := range deployments(t, objects(t, "--values="+file)) {
			pod := deployment.Spec.Template
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec))
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, deployment.Name, result.ForbiddenDetail())
			}
		}
	}
}

// deployments returns a Deployment for each name of a container.
func deployments(t *testing.T, from []*unstructured.Unstructured) map[string]*appsv1.Deployment {
	t.Helper()
	found := map[string]*appsv1.Deployment{}
	for _, object := range from {
		if object.GetKind() == "Deployment" {
			deployment := &appsv1.Deployment{}
			typed(t, []*unstructured.Unstructured{object}, "Deployment", deployment)
			found[deployment.Spec.Template.Spec.Containers[0].Name] = deployment
		}
	}
	return found
}

// TestDashboard: the dashboard is off by default, may only list and watch what it shows, and is reached by nobody whom a policy
// does not name.
func TestDashboard(t *testing.T) {
	if output, err := template(t); err != nil || strings.Contains(output, "dashboard") {
		t.Errorf("there is a dashboard by default (%v)", err)
	}
	on := []string{"--set=dashboard.enabled=true,dashboard.hosts={a.example,b.example},networkPolicy.enabled=true"}
	named := byName(objects(t, on...))
	role, network := &rbacv1.ClusterRole{}, &networkingv1.NetworkPolicy{}
	typed(t, []*unstructured.Unstructured{named["ClusterRole canaryrollout-dashboard"]}, "ClusterRole", role)
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{"canaryrollout.dev"}, Resources: []string{"canaryrollouts"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods", "events"}, Verbs: []string{"list", "watch"}},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("the role (-want +got):\n%s", diff)
	}
	typed(t, []*unstructured.Unstructured{named["NetworkPolicy canaryrollout-system/canaryrollout-dashboard"]}, "NetworkPolicy", network)
	if len(network.Spec.Ingress) != 0 || !slices.Contains(network.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
		t.Errorf("the policy lets in %v", network.Spec.Ingress)
	}
	dashboard := deployments(t, objects(t, append(on, "--set=watchNamespaces={shop,books}")...))["dashboard"]
	args := dashboard.Spec.Template.Spec.Containers[0].Args
	if !slices.Contains(args, "--host=a.example,b.example") || !slices.Contains(args, "--namespace=shop,books") {
		t.Errorf("the arguments are %q", args)
	}
}

// secretLimit is the maximum size of a Secret. Helm stores each release in one.
const secretLimit = 1 << 20

// TestReleaseFitsIntoSecret: a release contains the CRD twice, as a file of the chart and rendered.
func TestReleaseFitsIntoSecret(t *testing.T) {
	output, err := helm.Client{Home: t.TempDir()}.Run(t.Context(), "install", release, helm.Chart(), "--namespace="+namespace,
		"--values=testdata/everything.values.yaml", "--dry-run=client", "--output=json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, "templates/crd.yaml") || strings.Count(output, "kind: CustomResourceDefinition") == 0 {
		t.Fatalf("helm printed %d bytes, and not a whole release", len(output))
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write([]byte(output)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	// Helm encodes it once, and the API server stores the result.
	size := base64.StdEncoding.EncodedLen(packed.Len())
	t.Logf("a release has %d bytes, packed %d of %d", len(output), size, secretLimit)
	if size > secretLimit/2 {
		t.Errorf("a release has %d bytes, more than half of the %d that a Secret may have", size, secretLimit)
	}
}
