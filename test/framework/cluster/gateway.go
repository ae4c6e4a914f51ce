// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
)

// A Gateway is the implementation of the Gateway API that a cluster runs. It is a [flag.Value].
type Gateway string

const (
	// TraefikGateway is a real gateway, in a process of its own. Its build takes longer than that of everything else together.
	TraefikGateway Gateway = Traefik
	// BuiltinGateway is the package fakegateway, inside the program that starts the cluster. It serves HTTPRoutes with
	// matches, weights and mirrors, and needs no build.
	BuiltinGateway Gateway = "builtin"
	// NoGateway installs the kinds of the Gateway API alone. The program has its own implementation.
	NoGateway Gateway = "none"
)

// String implements [flag.Value].
func (g *Gateway) String() string { return string(*g) }

// Set implements [flag.Value].
func (g *Gateway) Set(name string) error {
	if name != string(BuiltinGateway) && name != string(TraefikGateway) {
		return fmt.Errorf("the gateways are %s and %s", BuiltinGateway, TraefikGateway)
	}
	*g = Gateway(name)
	return nil
}

// checkOptions reports options that the gateway cannot fulfil, and binaries that were not built.
func (c *Cluster) checkOptions() error {
	if c.options.Gateway != TraefikGateway && c.options.Streams {
		return fmt.Errorf("the gateway %s serves no TLS and TCP: use %s", c.options.Gateway, TraefikGateway)
	}
	for _, b := range binariesFor(c.options) {
		if c.assets.Binaries[b.name] == "" {
			return fmt.Errorf("%s was not built: call cluster.Build with the same options before cluster.Isolate", b.name)
		}
	}
	return nil
}

// gatewayUp installs the Gateway API and starts its implementation.
func (c *Cluster) gatewayUp(ctx context.Context) error {
	if err := c.gatewayCRDs(ctx); err != nil {
		return err
	}
	switch c.options.Gateway {
	case NoGateway:
		return nil
	case BuiltinGateway:
		return c.builtinUp(ctx)
	default:
		return c.traefikUp(ctx)
	}
}

func (c *Cluster) builtinUp(ctx context.Context) (err error) {
	options := fakegateway.Options{Name: GatewayName, Namespace: GatewayNamespace, Address: GatewayAddress, AccessLog: c.AccessLog()}
	if c.options.Prometheus {
		options.MetricsAddress = gatewayMetricsAddress
	}
	c.builtin, err = fakegateway.Start(ctx, c.RESTConfig(Admin), options)
	return err
}

func (c *Cluster) traefikUp(ctx context.Context) error {
	admin := c.RESTConfig(Admin)
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
