// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// stream sends server-sent events to one page.
type stream struct {
	w http.ResponseWriter
	// last is what was sent last of each event, since nothing is sent twice.
	last map[string][]byte
}

const (
	// heartbeat is the longest time between two events. A page that gets none for several heartbeats knows that the connection
	// is lost, and connects again.
	heartbeat = 5 * time.Second
	// writeTimeout is how long a page may take to accept an event.
	writeTimeout = 10 * time.Second
)

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "text/event-stream")
	return &stream{w: w, last: map[string][]byte{}}
}

// send sends an event, unless it is the same as the last of its name.
func (s *stream) send(event string, content any) error {
	encoded, err := json.Marshal(content)
	if err != nil || bytes.Equal(s.last[event], encoded) {
		return err
	}
	s.last[event] = encoded
	return s.write("event: %s\ndata: %s\n\n", event, encoded)
}

func (s *stream) write(format string, args ...any) error {
	control := http.NewResponseController(s.w)
	if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return err
	}
	return control.Flush()
}

// serve calls render whenever something has changed, until the page is gone or render fails.
func (s *stream) serve(r *http.Request, changed <-chan struct{}, render func() error) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if err := render(); err != nil {
			return
		}
		select {
		case <-time.After(mostOften):
		case <-r.Context().Done():
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := s.write("event: beat\ndata: {}\n\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// about is what a page knows of the dashboard itself.
type about struct {
	// Namespaces are those that are shown; empty for all.
	Namespaces []string `json:"namespaces,omitempty"`
	Notice     string   `json:"notice,omitempty"`
	IsReadOnly bool     `json:"isReadOnly,omitempty"`
	// IsInCluster is true behind a proxy, where users cannot start the dashboard themselves.
	IsInCluster bool `json:"isInCluster,omitempty"`
	// Problem says why what is shown may be out of date.
	Problem string `json:"problem,omitempty"`
}

func (s *Server) about(err error) about {
	a := about{Namespaces: s.Namespaces, Notice: s.Notice, IsReadOnly: s.IsReadOnly, IsInCluster: s.isInCluster}
	if err != nil {
		a.Problem = err.Error()
	}
	return a
}

// listEvent is a change of the list: rollouts that are new or different, and the keys of those that are gone.
type listEvent struct {
	Items []view.Item `json:"items"`
	Gone  []string    `json:"gone,omitempty"`
	// IsComplete is true for the first list of a stream: there are no others.
	IsComplete bool `json:"isComplete,omitempty"`
}

// streamList sends the list, and then its changes.
func (s *Server) streamList(w http.ResponseWriter, r *http.Request) {
	out, sent, isFirst := newStream(w), map[string]view.Item{}, true
	out.serve(r, s.rollouts.subscribe(r.Context()), func() error {
		state := s.rollouts.state()
		if err := out.send("about", s.about(state.err)); err != nil || !state.isSynced {
			return err
		}
		event := changes(sent, state.rollouts)
		if !isFirst && len(event.Items) == 0 && len(event.Gone) == 0 {
			return nil
		}
		event.IsComplete, isFirst = isFirst, false
		return out.send("list", event)
	})
}

// changes returns how rollouts differ from what was sent, and notes them as sent.
func changes(sent map[string]view.Item, rollouts []*v1alpha1.CanaryRollout) listEvent {
	event, found := listEvent{Items: []view.Item{}}, map[string]bool{}
	for _, rollout := range rollouts {
		item := view.NewItem(rollout, flagsOf(rollout))
		key := item.Namespace + "/" + item.Name
		found[key] = true
		if before, known := sent[key]; !known || !equal(before, item) {
			sent[key] = item
			event.Items = append(event.Items, item)
		}
	}
	for key := range sent {
		if !found[key] {
			delete(sent, key)
			event.Gone = append(event.Gone, key)
		}
	}
	return event
}

func equal(a, b view.Item) bool {
	if (a.Weight == nil) != (b.Weight == nil) || a.Weight != nil && *a.Weight != *b.Weight {
		return false
	}
	a.Weight, b.Weight = nil, nil
	return a == b
}

// flagsOf returns the flags that commands in a message need, whatever the current namespace is.
func flagsOf(rollout *v1alpha1.CanaryRollout) string { return " -n " + rollout.Namespace }
