// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// The commands that a user would type. They are run exactly as shown.
const (
	deployCommand  = `kubectl apply -k ` + sample
	upgradeCommand = `kubectl patch canaryrollout reviews --type=json -p '[{"op": "replace",
  "path": "/spec/template/spec/containers/0/image",
  "value": "istio/examples-bookinfo-reviews-v2:1.20.2"}]'`
	// badPercent is the share of errors of the bad version 2, as in the command.
	badPercent        = 3
	badUpgradeCommand = `kubectl patch canaryrollout reviews --type=json -p '[{"op": "replace",
  "path": "/spec/template/spec/containers/0/image",
  "value": "istio/examples-bookinfo-reviews-v2:1.20.2"}, {"op": "add",
  "path": "/spec/template/spec/containers/0/env/-",
  "value": {"name": "ERROR_PERCENT", "value": "3"}}]'`
	showAnalysisCommand = `tail -n +4 hack/demo/analysis.yaml`
	analysisCommand     = `kubectl patch canaryrollout reviews --type=merge \
  --patch-file=hack/demo/analysis.yaml`
	promoteCommand = `kubectl annotate canaryrollout reviews canaryrollout.dev/promote=true`
)

// kubectl shows and runs a command, and shows the rollout while it runs.
func (d *demo) kubectl(ctx context.Context, command string) error {
	d.showCommand(command)
	done := make(chan struct{})
	var output []byte
	var err error
	go func() {
		defer close(done)
		output, err = d.shell(ctx, command)
	}()
	followed := d.follow(ctx, func(*v1alpha1.CanaryRollout) bool { return isClosed(done) })
	<-done
	_, _ = d.out.Write(output)
	if err != nil {
		return fmt.Errorf("the command above: %w", err)
	}
	return followed
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (d *demo) showCommand(command string) {
	d.out.line("  " + d.out.style.paint(bold, "$ "+strings.ReplaceAll(command, "\n", "\n  ")))
}

// shell runs a command as the administrator. kubectl's cache is deleted with the cluster.
func (d *demo) shell(ctx context.Context, command string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.stage.cluster.Kubeconfig(cluster.Admin),
		"KUBECACHEDIR="+filepath.Join(d.stage.dir, "kubectl-cache"))
	return cmd.CombinedOutput()
}
