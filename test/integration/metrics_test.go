// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

const metricsURL = "https://127.0.0.1:8443/metrics"

// TestMetrics: only users with the shipped role canaryrollout-metrics-reader can read metrics.
func TestMetrics(t *testing.T) {
	a := parallel(t)
	a.deploy(a.make())
	a.waitForState(v1alpha1.StateHealthy)
	reader := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "metrics-reader-of-a-test"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "canaryrollout-metrics-reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: string(cluster.Spare1)}},
	}
	if err := env.Admin.Create(t.Context(), reader); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, token string
		want        int
	}{
		{"anonymous", "", http.StatusUnauthorized},
		{"a user without the role", env.Cluster.RESTConfig(cluster.Spare2).BearerToken, http.StatusForbidden},
		{"a reader", env.Cluster.RESTConfig(cluster.Spare1).BearerToken, http.StatusOK},
	} {
		status, body := scrape(t, tc.token)
		if status != tc.want {
			t.Errorf("%s gets %d, want %d: %s", tc.name, status, tc.want, body)
		}
		for _, series := range []string{`canaryrollout_state{name="reviews",namespace="metrics",state="Healthy"} 1`, "canaryrollout_shards 1"} {
			if status == http.StatusOK && !strings.Contains(body, "\n"+series+"\n") {
				t.Errorf("no %s among the metrics", series)
			}
		}
	}
}

func scrape(t *testing.T, token string) (status int, body string) {
	t.Helper()
	// The manager generates its own certificate if none is given.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, metricsURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}
