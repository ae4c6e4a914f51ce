// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// TestClusterWide: a release and a deletion complete with the flags and permissions of the default values.
func TestClusterWide(t *testing.T) {
	r := install(t, helm.Chart())
	r.start()
	checkReleaseSecret(t)

	a := harness.New(t, env, builder.Weight(50))
	checkMetrics(t, a)
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	a.CheckPromoted(stable)
	kubectl(t, "delete", "canaryrollout", "reviews", "-n", a.Namespace, "--cascade=orphan", "--timeout=90s")
	a.CheckLoss()
}

// secretLimit is the maximum size of a Secret.
const secretLimit = 1 << 20

// checkReleaseSecret checks the size of the Secret in which helm keeps the release.
func checkReleaseSecret(t *testing.T) {
	t.Helper()
	secrets := &corev1.SecretList{}
	err := env.Admin.List(t.Context(), secrets, client.InNamespace(namespace), client.MatchingLabels{"owner": "helm", "name": name})
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets.Items) == 0 {
		t.Fatal("helm has no Secret for the release")
	}
	for _, secret := range secrets.Items {
		size := len(secret.Data["release"])
		t.Logf("Secret %s has %d bytes of %d", secret.Name, size, secretLimit)
		if size > secretLimit/2 {
			t.Errorf("Secret %s has %d bytes, more than half of the limit", secret.Name, size)
		}
	}
}

// checkMetrics checks that the manager has the permissions to authenticate and authorize requests for its metrics. The
// manager is ready before it serves them.
func checkMetrics(t *testing.T, a *harness.App) {
	t.Helper()
	tests := map[cluster.User]int{cluster.Admin: http.StatusOK, cluster.Spare1: http.StatusForbidden}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // it is self-signed
	defer transport.CloseIdleConnections()
	for user, want := range tests {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1:8443/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+env.Cluster.RESTConfig(user).BearerToken)
		var got int
		a.Eventually("an answer from the metrics endpoint", func() (bool, string) {
			response, err := (&http.Client{Transport: transport}).Do(request)
			if err != nil {
				return false, err.Error()
			}
			_ = response.Body.Close()
			got = response.StatusCode
			return true, ""
		})
		if got != want {
			t.Errorf("%s gets status %d for the metrics, want %d", user, got, want)
		}
	}
}

// TestNamespaced: with permissions in only two namespaces, a release and a deletion complete there, and a rollout in
// another namespace is not touched. The chart is first installed cluster-wide, because the CRD must exist before the
// namespace of a rollout is prepared. So the change of mode is tested, too.
func TestNamespaced(t *testing.T) {
	r := install(t, helm.Chart())
	options := harness.Options{Steps: []v1alpha1.Step{builder.Weight(50)}}
	a := harness.Prepare(t, env, options)
	other := elsewhere(t)
	second := a.Namespace + "-second"
	kubectl(t, "create", "namespace", second)
	r.upgrade("--set=watchNamespaces={" + a.Namespace + "," + second + "}")
	r.start()
	if args := r.deployment().Spec.Template.Spec.Containers[0].Args; !slices.Contains(args, "--namespace="+a.Namespace+","+second) {
		t.Errorf("the manager is started with %v", args)
	}
	checkRights(t, r, a.Namespace, second)

	a.Create(a.Rollout(options))
	a.WaitForState(v1alpha1.StateHealthy)
	a.StartTraffic()
	stable := a.Stable()
	a.SetImage(builder.ImageV2)
	a.CheckPromoted(stable)
	kubectl(t, "delete", "canaryrollout", "reviews", "-n", a.Namespace, "--cascade=orphan", "--timeout=90s")
	a.CheckLoss()

	now := &v1alpha1.CanaryRollout{}
	if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(other), now); err != nil {
		t.Fatal(err)
	}
	if now.ResourceVersion != other.ResourceVersion {
		t.Errorf("the rollout in namespace %s was touched: finalizers %v, status %+v", now.Namespace, now.Finalizers, now.Status)
	}
}

// elsewhere creates a rollout in a namespace that the manager does not watch.
func elsewhere(t *testing.T) *v1alpha1.CanaryRollout {
	t.Helper()
	rollout := builder.MakeRollout("elsewhere", "reviews").Obj()
	for _, object := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: rollout.Namespace}}, rollout} {
		if err := env.Admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return rollout
}

// checkRights checks that the service account has what it needs in its namespaces, and nothing elsewhere but shared metrics,
// which are where it runs. The lease is in the first namespace.
func checkRights(t *testing.T, r *release, own, second string) {
	t.Helper()
	clients := kubernetes.NewForConfigOrDie(r.config)
	if _, err := clients.CoreV1().Namespaces().Get(t.Context(), own, metav1.GetOptions{}); err != nil {
		t.Errorf("the manager cannot get its namespace: %v", err)
	}
	if _, err := clients.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the manager gets another namespace: %v", err)
	}
	for _, resource := range []authorizationv1.ResourceAttributes{
		{Verb: "patch", Resource: "services"},
		{Verb: "create", Group: "apps", Resource: "replicasets"},
		{Verb: "patch", Group: "gateway.networking.k8s.io", Resource: "httproutes"},
		{Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: "canaryrollouts"},
		{Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: "canarymetrics"},
		{Verb: "update", Group: "coordination.k8s.io", Resource: "leases"},
	} {
		for in, want := range map[string]bool{own: true, second: resource.Resource != "leases", "default": false, namespace: resource.Resource == "canarymetrics", "": false} {
			resource.Namespace = in
			if got := allowed(t.Context(), t, clients, resource); got != want {
				t.Errorf("may %s %s in namespace %q: %t, want %t", resource.Verb, resource.Resource, in, got, want)
			}
		}
	}
	// The role of the former mode is gone.
	key := client.ObjectKey{Name: manager}
	if err := env.Admin.Get(t.Context(), key, &rbacv1.ClusterRole{}); !apierrors.IsNotFound(err) {
		t.Errorf("ClusterRole %s is still there: %v", manager, err)
	}
}

func allowed(ctx context.Context, t *testing.T, asker kubernetes.Interface, resource authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &resource},
	}
	answer, err := asker.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
