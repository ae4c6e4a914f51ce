// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/backend"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// stage is the environment of the demo: a cluster with pods that answer, and the operator.
type stage struct {
	options  cluster.Options
	dir      string
	cluster  *cluster.Cluster
	pods     *backend.Backend
	operator *operator.Operator
	// kubeconfig is for terminals on the host.
	kubeconfig string

	closers []func() error
}

// newStage creates the folder for data and logs. The stage owns it, so that an interrupted start leaves none behind.
func newStage(options cluster.Options) (*stage, error) {
	dir, err := os.MkdirTemp("", "canaryrollout-demo-")
	options.Dir = dir
	return &stage{options: options, dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig")}, err
}

// startCluster starts the cluster with pods that answer, and writes the kubeconfig.
func (s *stage) startCluster(ctx context.Context) (err error) {
	if s.cluster, err = cluster.Start(ctx, s.options); err != nil {
		return err
	}
	s.closers = append(s.closers, s.cluster.Stop)
	if s.pods, err = backend.Start(ctx, s.cluster.RESTConfig(cluster.Admin)); err != nil {
		return err
	}
	s.closers = append(s.closers, s.pods.Stop)
	return s.cluster.WriteKubeconfig(cluster.Admin, cluster.Outside(cluster.APIAddress), s.kubeconfig)
}

// startOperator installs config/default and runs the operator.
func (s *stage) startOperator(ctx context.Context) (err error) {
	if err := operator.Install(ctx, s.cluster); err != nil {
		return err
	}
	if s.operator, err = operator.Start(ctx, s.cluster, operator.Options{}); s.operator != nil {
		s.closers = append(s.closers, s.operator.Stop)
	}
	return err
}

// close stops everything in reverse order.
func (s *stage) close() error {
	var errs []error
	for _, end := range slices.Backward(s.closers) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
