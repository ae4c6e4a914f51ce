// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// handOver leaves the release to the user until Ctrl-C, which then counts as success.
func (d *demo) handOver(ctx context.Context) error {
	d.deadline = time.Time{}
	d.out.title("6. It is yours now, until Ctrl-C")
	d.out.text("In another terminal:")
	d.showCommand("export KUBECONFIG=" + d.stage.kubeconfig)
	for _, command := range []string{
		"kubectl get canaryrollout reviews --watch",
		promoteCommand,
		"kubectl annotate canaryrollout reviews canaryrollout.dev/abort='too slow'",
		"kubectl describe canaryrollout reviews",
	} {
		d.showCommand(command)
	}
	d.out.text("Be a customer, and a tester:")
	url := "http://" + cluster.Outside(cluster.GatewayAddress) + path
	d.showCommand(fmt.Sprintf("curl -H Host:%s %s", host, url))
	d.showCommand(fmt.Sprintf("curl -H Host:%s -H %s %s", host, strings.ReplaceAll(testers, " ", ""), url))
	d.out.line("")
	if err := d.follow(ctx, func(*v1alpha1.CanaryRollout) bool { return false }); ctx.Err() == nil {
		return err
	}
	return nil
}
