// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"syscall"
	"time"
)

// StopAPIServer has the API server answer nobody for a while, and returns when it is ready again: in between, or when ctx
// ends, requests hang. Connections stay open.
func (c *Cluster) StopAPIServer(ctx context.Context, d time.Duration) error {
	server := c.Process(APIServer)
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	if err := server.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return c.WaitForAPI(ctx)
}
