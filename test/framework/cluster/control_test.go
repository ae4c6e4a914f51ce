// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// The operator has the name and groups that the shipped bindings expect, and only the rights that they grant.
func TestOperatorHasOnlyTheRightsThatAreBound(t *testing.T) {
	operator := kubernetes.NewForConfigOrDie(up.RESTConfig(cluster.Operator))
	list := func() error {
		_, err := operator.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := list(); !apierrors.IsForbidden(err) {
		t.Fatalf("without a binding: %v", err)
	}
	apply(t, `
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: reads}, rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads}
subjects: [{kind: ServiceAccount, name: canaryrollout-controller-manager, namespace: %s}]
`, cluster.OperatorNamespace)
	eventually(t, "the binding works", func() bool { return list() == nil })
}

// Every request of the operator is one line of the audit log when it is answered. No other user's requests are
// logged.
func TestAuditLogCountsTheOperatorsRequests(t *testing.T) {
	operator := kubernetes.NewForConfigOrDie(up.RESTConfig(cluster.Operator))
	before := len(auditLines(t))
	for range 3 {
		_, _ = operator.CoreV1().Secrets("default").Get(t.Context(), "counted", metav1.GetOptions{})
		_, _ = api.CoreV1().Secrets("default").Get(t.Context(), "not-counted", metav1.GetOptions{})
	}
	lines := auditLines(t)[before:]
	if len(lines) != 3 {
		t.Errorf("%d lines for 3 requests: %s", len(lines), lines)
	}
	for _, line := range lines {
		var event struct{ User struct{ Username string } }
		if err := json.Unmarshal([]byte(line), &event); err != nil || event.User.Username != cluster.OperatorUsername {
			t.Errorf("a line of another user (%v): %s", err, line)
		}
	}
}

func auditLines(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(up.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(log)))
}

// Kubeconfig files work, and spare users are authenticated but have no rights.
func TestKubeconfigOfASpareUser(t *testing.T) {
	cfg, err := clientcmd.BuildConfigFromFlags("", up.Kubeconfig(cluster.Spare2))
	if err != nil {
		t.Fatal(err)
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods"},
	}}
	reviews := kubernetes.NewForConfigOrDie(cfg).AuthorizationV1().SelfSubjectAccessReviews()
	answer, err := reviews.Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status.Allowed {
		t.Error("a spare user may list pods")
	}
}

// Setting blockOwnerDeletion requires the right to set the owner's finalizers, as real clusters may enforce.
func TestOwnerReferencesPermissionIsEnforced(t *testing.T) {
	apply(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: owner}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: makes}, rules: [{apiGroups: [""], resources: [configmaps], verbs: [create, get]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: makes}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: makes}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %s}]
`, cluster.Spare1)
	spare := kubernetes.NewForConfigOrDie(up.RESTConfig(cluster.Spare1)).CoreV1().ConfigMaps("default")
	owner, err := api.CoreV1().ConfigMaps("default").Get(t.Context(), "owner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the role works", func() bool {
		_, err := spare.Get(t.Context(), "owner", metav1.GetOptions{})
		return err == nil
	})
	block := true
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &block,
	}}}}
	if _, err := spare.Create(t.Context(), owned, metav1.CreateOptions{}); !apierrors.IsForbidden(err) ||
		!strings.Contains(err.Error(), "blockOwnerDeletion") {
		t.Errorf("making an object that blocks its owner's deletion: %v", err)
	}
}

// The API server comes back on its port with its data, and the other components keep working.
func TestAPIServerRestarts(t *testing.T) {
	apply(t, workload, "restarted-v1", 1)
	process := up.Process(cluster.APIServer)
	before := process.PID()
	if err := process.Restart(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := up.WaitForAPI(ctx); err != nil {
		t.Fatal(err)
	}
	if process.PID() == before {
		t.Error("it is still the old process")
	}
	scale(t, "restarted-v1", 3)
	eventually(t, "pods after the restart", func() bool { return len(readyPods(t, "restarted-v1")) == 3 })
}

func TestOneAtATimeAndOnlyWithLateEndpoints(t *testing.T) {
	if _, err := cluster.Start(t.Context(), cluster.Options{Dir: t.TempDir(), Timeout: 20 * time.Second}); err == nil {
		t.Error("a second cluster started on the same ports")
	} else if !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("the error does not say why: %v", err)
	}
	if err := new(cluster.Cluster).PauseEndpointSlices(); err == nil {
		t.Error("paused a controller that has no process of its own")
	}
}
