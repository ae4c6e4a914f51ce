// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

// eventually waits for an effect of the cluster's controllers.
func eventually(t *testing.T, what string, condition func(context.Context) (bool, error)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, condition)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestClientSideApplyOfCRD: client-side kubectl apply stores the whole manifest in an annotation of limited size.
func TestClientSideApplyOfCRD(t *testing.T) {
	mustKubectl(t, "", "apply", "-f", crdFile)
	output := mustKubectl(t, "", "get", "crd", "canaryrollouts.canaryrollout.dev", "-o",
		`jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}`)
	if !strings.Contains(output, "setHeaderRoute") {
		t.Errorf("the annotation of kubectl apply holds %d bytes, and not the schema", len(output))
	}
	if output := mustKubectl(t, "", "apply", "-f", crdFile); !strings.Contains(output, "unchanged") {
		t.Errorf("applied again: %s", output)
	}
}

func TestExplain(t *testing.T) {
	tests := map[string]string{
		"canaryrollout":                           "CanaryRollout runs the pods of a workload",
		"canaryrollout.spec.traffic":              "A step is done when all of them are verified to carry its weight",
		"cro.spec.steps.setCanaryScale":           "matchTrafficWeight ends an earlier setCanaryScale",
		"cro.spec.template.spec.containers.image": "FIELD: image <string>",
		"cro.spec.analysis.metrics.compare":       "It fails a bad canary as soon as the evidence is sufficient",
		"canarymetric.spec.arguments.default":     "Without a default, a rollout must give a value",
		"cro.spec.template":                       "For its fields see `kubectl explain deployment.spec.template`",
	}
	for path, want := range tests {
		if output := strings.Join(strings.Fields(mustKubectl(t, "", "explain", path)), " "); !strings.Contains(output, want) {
			t.Errorf("kubectl explain %s does not say %q:\n%s", path, want, output)
		}
	}
}

// TestTypoIsRefusedByKubectl: nothing is silently ignored. Argo Rollouts dropped a traffic routing block with an
// unknown name, and the split stayed at 50:50 (argo-rollouts#4569).
func TestTypoIsRefusedByKubectl(t *testing.T) {
	typo := strings.Replace(mustKubectl(t, "", "create", "--dry-run=client", "-o=yaml", "-f", sample.Path(sample.Rollouts)), "setWeight:", "setWieght:", 1)
	output, err := kubectl(t, typo, "apply", "-f", "-")
	if err == nil || !strings.Contains(output, `unknown field "spec.steps[`) {
		t.Errorf("kubectl apply of a typo: %v\n%s", err, output)
	}
}

func TestPrinterColumns(t *testing.T) {
	rollout := created(t, "columns")
	rollout.Status = v1alpha1.CanaryRolloutStatus{
		State: v1alpha1.StatePaused, Step: "3/12", Weight: "10->20", Revision: "594c75879c", Ready: "4/5", Message: "waits", Images: "v1, v2",
	}
	if err := env.Admin.Status().Update(t.Context(), rollout); err != nil {
		t.Fatal(err)
	}
	output := squeeze(mustKubectl(t, "", "get", "cro", "columns"))
	if want := "NAME STATUS STEP WEIGHT REVISION READY AGE\ncolumns Paused 3/12 10->20 594c75879c 4/5 "; !strings.HasPrefix(output, want) {
		t.Errorf("kubectl get cro says\n%s\nwant\n%s", output, want)
	}
	wide := squeeze(mustKubectl(t, "", "get", "cro", "columns", "-o", "wide"))
	if !strings.Contains(wide, " AGE MESSAGE IMAGES\n") || !strings.HasSuffix(wide, " waits v1, v2") {
		t.Errorf("kubectl get cro -o wide says\n%s", wide)
	}
}

// squeeze collapses each run of spaces.
func squeeze(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestScaleSubresource(t *testing.T) {
	ctx := t.Context()
	rollout := created(t, "scale")
	rollout.Status.Replicas, rollout.Status.Selector = 3, "app=reviews"
	if err := env.Admin.Status().Update(ctx, rollout); err != nil {
		t.Fatal(err)
	}
	mustKubectl(t, "", "scale", "cro/scale", "--replicas=7")

	if err := env.Admin.Get(ctx, client.ObjectKeyFromObject(rollout), rollout); err != nil {
		t.Fatal(err)
	}
	if rollout.Spec.Replicas == nil || *rollout.Spec.Replicas != 7 {
		t.Errorf("spec.replicas is %v, want 7", rollout.Spec.Replicas)
	}
	output := mustKubectl(t, "", "get", "cro/scale", "--subresource=scale", "-o=jsonpath={.spec.replicas} {.status.replicas} {.status.selector}")
	if want := "7 3 app=reviews"; output != want {
		t.Errorf("the scale subresource says %q, want %q", output, want)
	}
}

// TestDefaultInstallation installs everything as a new user does. Its pods must be admitted and become ready.
func TestDefaultInstallation(t *testing.T) {
	mustKubectl(t, "", "apply", "--server-side", "--force-conflicts", "-k", "../../config/default")
	t.Cleanup(func() {
		// The other tests need the CRD.
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: cluster.OperatorNamespace, Name: "canaryrollout-controller-manager"}}
		if err := env.Admin.Delete(context.WithoutCancel(t.Context()), deployment); err != nil {
			t.Error(err)
		}
	})
	mustKubectl(t, "", "rollout", "status", "-n", cluster.OperatorNamespace, "deployment/canaryrollout-controller-manager", "--timeout=1m")
}

// TestUndeployRefuses: rollouts without a manager would keep their finalizers, and their routes in mid-canary.
func TestUndeployRefuses(t *testing.T) {
	rollout := created(t, "still-there")
	for _, target := range []string{"undeploy", "uninstall"} {
		command := exec.CommandContext(t.Context(), "make", "-C", "../..", target)
		command.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(cluster.Admin))
		output, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(output), "still-there") {
			t.Errorf("make %s: %v\n%s", target, err, output)
		}
	}
	if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(rollout), rollout); err != nil {
		t.Error(err)
	}
}

// TestSampleHasNoDrift: the stored route of the sample, and the lists in its rollout, are exactly as written.
// Otherwise GitOps tools would show differences that nobody made.
func TestSampleHasNoDrift(t *testing.T) {
	const folder = "../../config/samples/reviews"
	mustKubectl(t, "", "apply", "-k", folder)
	t.Cleanup(func() {
		for object := range strings.FieldsSeq("canaryrollout/reviews httproute/bookinfo-reviews service/reviews-stable service/reviews-canary") {
			kind, name, _ := strings.Cut(object, "/")
			deleteNamed(t, kind, name)
		}
	})
	for file, parts := range map[string]string{
		"httproute.yaml":     "{.spec}",
		"canaryrollout.yaml": "{.spec.steps}{.spec.traffic.routes}",
	} {
		live := mustKubectl(t, "", "get", "-f", folder+"/"+file, "-o=jsonpath="+parts)
		written := mustKubectl(t, "", "create", "--dry-run=client", "-f", folder+"/"+file, "-o=jsonpath="+parts)
		if live != written {
			t.Errorf("%s as stored\n  %s\nis not as written\n  %s", file, live, written)
		}
	}
	if output, err := kubectl(t, "", "diff", "-k", folder); err != nil {
		t.Errorf("kubectl diff right after apply: %v\n%s", err, output)
	}
}

func deleteNamed(t *testing.T, kind, name string) {
	t.Helper()
	object := &unstructured.Unstructured{}
	switch kind {
	case "canaryrollout":
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CanaryRollout"))
	case "httproute":
		object.SetAPIVersion("gateway.networking.k8s.io/v1")
		object.SetKind("HTTPRoute")
	case "service":
		object.SetAPIVersion("v1")
		object.SetKind("Service")
	}
	object.SetNamespace(namespace)
	object.SetName(name)
	if err := env.Admin.Delete(context.WithoutCancel(t.Context()), object); err != nil {
		t.Error(err)
	}
}

// TestUserRoles: users who may view, edit or administer a namespace may do the same with its rollouts, but only the
// controller writes their status.
func TestUserRoles(t *testing.T) {
	mustKubectl(t, "", "apply", "-f", "../../config/rbac/canaryrollout_view_role.yaml", "-f", "../../config/rbac/canaryrollout_edit_role.yaml",
		"-f", "../../config/rbac/canaryrollout_admin_role.yaml")
	tests := map[cluster.User]struct {
		role          string
		view, release bool
	}{
		cluster.Spare1: {role: "view", view: true},
		cluster.Spare2: {role: "edit", view: true, release: true},
		cluster.Spare3: {role: "admin", view: true, release: true},
		cluster.Spare4: {role: "system:basic-user"},
	}
	for user, tc := range tests {
		t.Run(tc.role, func(t *testing.T) {
			bind(t, user, tc.role)
			expectRight(t, user, tc.view, "get", "")
			expectRight(t, user, tc.view, "watch", "")
			expectRight(t, user, tc.release, "create", "")
			expectRight(t, user, tc.release, "patch", "")
			expectRight(t, user, tc.release, "patch", "scale")
			expectRight(t, user, false, "patch", "status")
		})
	}
}

func bind(t *testing.T, user cluster.User, role string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: string(user)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: string(user)}},
	}
	if err := env.Admin.Create(t.Context(), binding); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	remove(t, binding)
}

// expectRight asks the API server what a user may do. Aggregating a right may take a moment, and a missing right is
// checked last.
func expectRight(t *testing.T, user cluster.User, want bool, verb, subresource string) {
	t.Helper()
	asker := kubernetes.NewForConfigOrDie(env.Cluster.RESTConfig(user))
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Group: v1alpha1.GroupVersion.Group, Resource: "canaryrollouts", Verb: verb, Subresource: subresource,
		},
	}}
	eventually(t, "may "+string(user)+" "+verb+" canaryrollouts/"+subresource, func(ctx context.Context) (bool, error) {
		answer, err := asker.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed == want, err
	})
}

// created creates the sample under another name. It is deleted at the end of the test.
func created(t *testing.T, name string) *v1alpha1.CanaryRollout {
	t.Helper()
	object := &unstructured.Unstructured{Object: named(t, name)}
	if err := env.Admin.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	remove(t, object)
	rollout := &v1alpha1.CanaryRollout{}
	if err := env.Admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: name}, rollout); err != nil {
		t.Fatal(err)
	}
	return rollout
}
