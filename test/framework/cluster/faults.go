// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"syscall"
	"time"
)

// StopAPIServer pauses the API server until a channel is closed, for d at most or until ctx ends, and returns when it is
// ready again. Requests hang in between. Connections stay open.
func (c *Cluster) StopAPIServer(ctx context.Context, d time.Duration, until <-chan struct{}) error {
	server := c.Process(APIServer)
	if err := server.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-until:
	case <-time.After(d):
	case <-ctx.Done():
	}
	if err := server.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return c.WaitForAPI(ctx)
}
