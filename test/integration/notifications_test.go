// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
)

// sinksAddress is where TestNotifications receives notifications.
const sinksAddress = "127.0.0.1:9393"

// sinkFile writes the file of sinks. Only the rollouts of TestNotifications have one by default.
func sinkFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(env.Cluster.Dir, "sinks.yaml")
	content := fmt.Sprintf(`- name: audit
  cloudEvents: {url: "http://%[1]s/audit"}
  default: true
  namespaces: [notifications]
- name: chat
  slack: {url: "http://%[1]s/chat"}
`, sinksAddress)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// inbox is what sinks have accepted.
type inbox struct {
	mu     sync.Mutex
	isDown bool
	// transitions are those of the sink audit, messages are those of the sink chat.
	transitions, messages []string
	refused               int
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil || i.isDown {
		i.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var event struct {
		Type string `json:"type"`
		Data struct {
			Sequence int64  `json:"sequence"`
			Message  string `json:"message"`
		} `json:"data"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/chat" {
		i.messages = append(i.messages, event.Text)
		return
	}
	i.transitions = append(i.transitions, fmt.Sprintf("%d %s", event.Data.Sequence, strings.TrimPrefix(event.Type, "dev.canaryrollout.release.")))
}

func (i *inbox) set(isDown bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.isDown = isDown
}

// received returns the transitions and the messages so far, and how many requests were refused.
func (i *inbox) received() (transitions, messages []string, refused int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.transitions), slices.Clone(i.messages), i.refused
}

// TestNotifications sends the transitions of a first deploy to the default sink, and those of a release to two sinks, one of which gets
// pauses only. The sinks are down when the release begins. That, and a sink that does not exist, holds nothing.
func TestNotifications(t *testing.T) {
	a := parallel(t)
	listener, err := net.Listen("tcp", sinksAddress)
	if err != nil {
		t.Fatal(err)
	}
	received := &inbox{}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: received}} //nolint:gosec // a test
	server.Start()
	t.Cleanup(server.Close)
	check := func(want ...string) {
		t.Helper()
		a.within(patience, fmt.Sprint(want), func() (bool, string) {
			got, _, _ := received.received()
			return slices.Equal(got, want), fmt.Sprint(got)
		})
	}
	a.deploy(a.make().Steps(builder.Weight(40), builder.Hold()))
	a.waitForState(v1alpha1.StateHealthy)
	first := []string{"1 started", "2 promoted"}
	check(first...)

	received.set(true)
	a.patch(`{"spec":{"notifications":[{"sink":"audit"},{"sink":"chat","transitions":["Paused"]},{"sink":"chatt"}]}}`)
	a.setImage(builder.ImageV2)
	rollout := a.waitForStep(v1alpha1.StatePaused, "2/2")
	if c := meta.FindStatusCondition(rollout.Status.Conditions, v1alpha1.ConditionNotified); c == nil || c.Reason != v1alpha1.ReasonSinkNotFound || !strings.Contains(c.Message, "chatt;") {
		t.Errorf("the condition is %+v", c)
	}
	a.waitForEvent("Warning", v1alpha1.ReasonSinkNotFound, "chatt")
	a.within(patience, "a request that is refused", func() (bool, string) {
		_, _, refused := received.received()
		return refused > 0, "none"
	})
	if got, messages, _ := received.received(); len(got) != len(first) || len(messages) > 0 {
		t.Errorf("received %v, %v", got, messages)
	}
	received.set(false)
	check(append(first, "3 started", "4 stepcompleted", "5 paused")...)
	a.annotate(v1alpha1.PromoteAnnotation, "true")
	a.waitForStable(builder.ImageV2)
	check(append(first, "3 started", "4 stepcompleted", "5 paused", "6 resumed", "7 stepcompleted", "8 promoting", "9 promoted")...)
	_, messages, _ := received.received()
	if len(messages) != 1 || !strings.Contains(messages[0], "*notifications/reviews* paused (#5)") || !strings.Contains(messages[0], "canaryrollout.dev/promote="+rollout.Status.Revision+"/2") {
		t.Errorf("the chat has %q", messages)
	}
	a.waitFor("nothing to be delivered", func(r *v1alpha1.CanaryRollout) bool { return len(r.Status.Memory.Notifications.Pending) == 0 })
}
