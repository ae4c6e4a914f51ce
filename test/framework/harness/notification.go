// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// Notification is a CloudEvent of the manager, as docs/notifications.md describes it.
type Notification struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Subject string `json:"subject"`
	Data    struct {
		Sequence   int64  `json:"sequence"`
		Transition string `json:"transition"`
		Namespace  string `json:"namespace"`
	} `json:"data"`
}

// Notify restarts the manager with a file of sinks, until the test ends. The file is a format for the URL of the receiver. It returns
// the flag, for a manager that the test starts itself.
func (e *Env) Notify(t *testing.T, receiver http.Handler, sinks string) (flag string) {
	t.Helper()
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "sinks.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, sinks, server.URL), 0o600); err != nil {
		t.Fatal(err)
	}
	restart := func(args ...string) {
		t.Helper()
		if err := errors.Join(e.Operator.Stop(), e.StartOperator(context.WithoutCancel(t.Context()), args...)); err != nil {
			t.Fatal(err)
		}
	}
	flag = "--notification-sinks=" + file
	restart(flag)
	t.Cleanup(func() { restart() })
	return flag
}
