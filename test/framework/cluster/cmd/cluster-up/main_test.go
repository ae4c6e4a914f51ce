// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

func TestMain(m *testing.M) {
	if err := isolate(context.Background(), cluster.Options{Gateway: cluster.BuiltinGateway}, "127.0.0.1:0", "127.0.0.1:0"); err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// shop is served in a namespace other than the Gateway's.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: app, image: "example/shop:1.0"}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{port: 9080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: shop}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [shop.example.com]
  rules: [{backendRefs: [{name: shop, port: 9080}]}]
`

// TestBuiltinGatewayServesAllNamespaces: what make cluster-up starts serves routes of any namespace, and ends without an
// error.
func TestBuiltinGatewayServesAllNamespaces(t *testing.T) {
	options := cluster.Options{Gateway: cluster.BuiltinGateway, Dir: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, options, true) }()
	eventually(t, ended, func() bool {
		_, err := os.Stat(filepath.Join(options.Dir, "kubeconfig"))
		return err == nil
	})
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(options.Dir, "admin.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Apply(t.Context(), config, []byte(shop)); err != nil {
		t.Fatal(err)
	}
	eventually(t, ended, func() bool { return status(t) == http.StatusOK })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// eventually waits for a condition while the cluster runs.
func eventually(t *testing.T, ended <-chan error, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the cluster ended: %w", err)
		default:
			return condition(), nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// status is that of a request through the gateway.
func status(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+cluster.GatewayAddress, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "shop.example.com"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
