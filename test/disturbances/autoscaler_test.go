// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package disturbances

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

const (
	// downscaleWindow is the autoscaler's stabilization window, which defaults to 5 minutes.
	downscaleWindow = 4 * time.Second
	// longPause is the window plus three rounds of the autoscaler.
	longPause = downscaleWindow + 6*time.Second
)

// TestAutoscaledByLoad has a HorizontalPodAutoscaler scale by CPU, with a load that follows the weights. It must set
// as many pods as the load needs, within one, at any weight and during promotion. When the scale subresource selected
// only the stable pods, these looked idle as the weight rose, and both revisions shrank under the load of the canary.
func TestAutoscaledByLoad(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{
		Rate: rate, Steps: []v1alpha1.Step{builder.Weight(10), builder.Hold(), builder.Weight(50), builder.Hold(), builder.Weight(100), builder.Hold()},
		Edit: func(r *v1alpha1.CanaryRollout) { builder.GracePeriod(r, 5) },
	})
	cpu := &cpuLoad{t: t, a: a}
	cpu.pods.Store(6)
	cpu.serve()
	a.Create(cpuScaler(a.Namespace))
	cpu.waitForSize()
	v1 := a.Stable()
	a.SetImage(builder.ImageV2)
	for _, pause := range []string{"2/6", "4/6", "6/6"} {
		a.WaitForPause(pause)
		cpu.checkSize("at the pause "+pause, longPause)
		if pause == "4/6" {
			cpu.pods.Store(8)
			cpu.waitForSize()
		}
		a.Annotate(v1alpha1.PromoteAnnotation, "true")
	}
	cpu.checkSize("in the promotion", longPause)
	a.CheckPromoted(v1)
	cpu.checkSize("after the promotion", longPause)
	a.CheckLoss()
}

// cpuScaler targets one core per pod.
func cpuScaler(namespace string) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "reviews"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CanaryRollout", Name: "reviews"},
			MinReplicas:    ptr.To[int32](1), MaxReplicas: 12,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name:   corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: ptr.To(resource.MustParse("1"))},
			}}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To(int32(downscaleWindow.Seconds()))},
			},
		},
	}
}

// cpuLoad is the cost of the requests, in pods with one core each. It serves the metrics API.
type cpuLoad struct {
	t    *testing.T
	a    *harness.App
	pods atomic.Int32
}

// waitForSize waits until the autoscaler has followed the load.
func (l *cpuLoad) waitForSize() {
	l.t.Helper()
	l.a.Eventually("the size that the load needs", func() (bool, string) {
		replicas := *l.a.Get().Spec.Replicas
		return replicas == l.pods.Load(), fmt.Sprintf("%d replicas", replicas)
	})
}

// checkSize checks the size continuously for a duration.
func (l *cpuLoad) checkSize(when string, during time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if need, replicas := l.pods.Load(), *l.a.Get().Spec.Replicas; replicas < need-1 || replicas > need+1 {
			l.t.Fatalf("%s: %d replicas, and the load needs %d", when, replicas, need)
		}
	}
}

// serve registers the cluster's metrics API, as metrics-server does, until the test ends.
func (l *cpuLoad) serve() {
	l.t.Helper()
	ctx := context.WithoutCancel(l.t.Context())
	const path = "/apis/metrics.k8s.io/v1beta1"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
			"resources": []any{map[string]any{"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": []string{"get", "list"}}}})
	})
	mux.HandleFunc("GET "+path+"/namespaces/{namespace}/pods", func(w http.ResponseWriter, r *http.Request) {
		items, err := l.usage(ctx, r.PathValue("namespace"), r.URL.Query().Get("labelSelector"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeJSON(w, map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": map[string]any{}, "items": items})
	})
	server := httptest.NewTLSServer(mux)
	l.t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		l.t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		l.t.Fatal(err)
	}
	l.a.Create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.a.Namespace, Name: "metrics"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: host},
	})
	service := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1.metrics.k8s.io"},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"namespace": l.a.Namespace, "name": "metrics", "port": number},
		},
	}}
	l.a.Create(service)
	l.t.Cleanup(func() {
		if err := env.Admin.Delete(ctx, service); err != nil {
			l.t.Error(err)
		}
	})
}

func writeJSON(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

// usage divides the load by weight, and each share evenly among the pods that the Service selects.
func (l *cpuLoad) usage(ctx context.Context, namespace, selector string) ([]any, error) {
	rollout, selected := &v1alpha1.CanaryRollout{}, &corev1.PodList{}
	if err := env.Admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "reviews"}, rollout); err != nil {
		return nil, err
	}
	parsed, err := labels.Parse(selector)
	if err != nil {
		return nil, err
	}
	if err := env.Admin.List(ctx, selected, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: parsed}); err != nil {
		return nil, err
	}
	canary := int64(rollout.Status.Traffic.DesiredWeight)
	milli := map[string]int64{}
	for service, weight := range map[string]int64{"reviews-stable": 100 - canary, "reviews-canary": canary} {
		object, behind := &corev1.Service{}, &corev1.PodList{}
		if err := env.Admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: service}, object); err != nil {
			return nil, err
		}
		if err := env.Admin.List(ctx, behind, client.InNamespace(namespace), client.MatchingLabels(object.Spec.Selector)); err != nil {
			return nil, err
		}
		for _, pod := range behind.Items {
			milli[pod.Name] += int64(l.pods.Load()) * 1000 * weight / 100 / int64(len(behind.Items))
		}
	}
	items := []any{}
	for _, pod := range selected.Items {
		items = append(items, map[string]any{
			"metadata":  map[string]any{"name": pod.Name, "namespace": namespace, "labels": pod.Labels},
			"timestamp": time.Now().UTC().Format(time.RFC3339), "window": "1s",
			"containers": []any{map[string]any{"name": "reviews", "usage": map[string]any{"cpu": fmt.Sprintf("%dm", milli[pod.Name]), "memory": "1Mi"}}},
		})
	}
	return items, nil
}
