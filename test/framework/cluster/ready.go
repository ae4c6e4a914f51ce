// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"net"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// WaitForAPI waits until the API server is ready, also after [Process.Restart].
func (c *Cluster) WaitForAPI(ctx context.Context) error {
	api, err := kubernetes.NewForConfig(c.RESTConfig(Admin))
	if err != nil {
		return err
	}
	return waitFor(ctx, "the API server to be ready", func(ctx context.Context) error {
		return api.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// nodeUp starts the components that run workloads, and waits for the node that runs the pods.
func (c *Cluster) nodeUp(ctx context.Context) error {
	names := []string{ControllerManager, Scheduler, Kwok}
	if c.options.LateEndpoints {
		names = append(names, EndpointSlices)
	}
	for _, name := range names {
		if err := c.Process(name).start(); err != nil {
			return err
		}
	}
	if err := Apply(ctx, c.RESTConfig(Admin), asset("node.yaml")); err != nil {
		return err
	}
	api, err := kubernetes.NewForConfig(c.RESTConfig(Admin))
	if err != nil {
		return err
	}
	return waitFor(ctx, "the node to be Ready", func(ctx context.Context) error {
		node, err := api.CoreV1().Nodes().Get(ctx, "node-0", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return schedulable(node)
	})
}

func schedulable(node *corev1.Node) error {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if !ready || len(node.Spec.Taints) > 0 {
		return fmt.Errorf("ready: %t, taints: %v", ready, node.Spec.Taints)
	}
	return nil
}
