// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
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

// gatewayUp installs the Gateway API and starts its implementation.
func (c *Cluster) gatewayUp(ctx context.Context) error {
	admin := c.RESTConfig(Admin)
	if err := c.gatewayCRDs(ctx); err != nil {
		return err
	}
	manifests, gateways := [][]byte{asset("traefik-rbac.yaml"), asset("gateway.yaml")}, []string{GatewayName}
	if c.options.Streams {
		manifests, gateways = append(manifests, asset("streams.yaml")), append(gateways, StreamGatewayName)
	}
	if err := Apply(ctx, admin, manifests...); err != nil {
		return err
	}
	if err := c.Process(Traefik).start(); err != nil {
		return err
	}
	return c.waitForGateways(ctx, gateways)
}

// gatewayCRDs skips the policy that guards upgrades: nothing is upgraded here.
func (c *Cluster) gatewayCRDs(ctx context.Context) error {
	channel := "standard"
	if c.options.Streams {
		channel = "experimental"
	}
	files, err := filepath.Glob(filepath.Join(c.assets.GatewayAPI, channel, "gateway.networking.k8s.io_*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no Gateway API CRDs in %s: %w", c.assets.GatewayAPI, err)
	}
	files = slices.DeleteFunc(files, func(file string) bool {
		guard, _ := filepath.Match("*_vap_*", filepath.Base(file))
		return guard
	})
	if err := ApplyFiles(ctx, c.RESTConfig(Admin), files...); err != nil {
		return err
	}
	return WaitForCRDs(ctx, c.RESTConfig(Admin))
}

func (c *Cluster) waitForGateways(ctx context.Context, names []string) error {
	scheme := runtime.NewScheme()
	if err := gatewayv1.Install(scheme); err != nil {
		return err
	}
	api, err := client.New(c.RESTConfig(Admin), client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return waitFor(ctx, "the Gateway to be programmed", func(ctx context.Context) error {
		var class gatewayv1.GatewayClass
		if err := api.Get(ctx, client.ObjectKey{Name: "traefik"}, &class); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(class.Status.Conditions, string(gatewayv1.GatewayClassConditionStatusAccepted)) {
			return errors.New("the gateway class is not accepted yet")
		}
		for _, name := range names {
			var gateway gatewayv1.Gateway
			if err := api.Get(ctx, client.ObjectKey{Namespace: GatewayNamespace, Name: name}, &gateway); err != nil {
				return err
			}
			if !meta.IsStatusConditionTrue(gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed)) {
				return fmt.Errorf("%s is not programmed yet", name)
			}
		}
		return listens(GatewayAddress)(ctx)
	})
}
