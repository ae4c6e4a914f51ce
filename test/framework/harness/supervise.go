// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// Supervise restarts the operator when it exits, as a kubelet does, until the test ends. The returned function kills
// the running operator, as a crash does.
func (e *Env) Supervise(t *testing.T) (kill func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	var mu sync.Mutex
	current := e.Operator
	running := func() *operator.Operator {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-running().Done():
			}
			_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
				if e.StartOperator(ctx) != nil {
					return false, nil // the API server may be unavailable
				}
				mu.Lock()
				defer mu.Unlock()
				current = e.Operator
				return true, nil
			})
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return func() { running().Kill() }
}
