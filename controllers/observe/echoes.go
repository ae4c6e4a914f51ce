// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// The watch event of our own write is an echo: the pass that made the write knows what it shows. It may arrive before the answer to
// the write. So events that arrive during a pass of their rollout are judged when it ends and its writes are known. That delays no
// pass, because there is never more than one of a rollout at a time. Nor can a pass wait for an event that has gone by: what arrived
// before a pass is in the cache that it reads, and what arrives during it is judged after it.

// watchEvent is a watch event that is not judged yet.
type watchEvent struct {
	object          Object
	resourceVersion string
	startPass       func()
}

// Begin marks the start of a pass. It is called before the pass reads the cache.
func (t *Tracker) Begin(rollout types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held == nil {
		t.held = map[types.NamespacedName][]watchEvent{}
	}
	t.held[rollout] = nil
}

// End marks the end of a pass, and judges the events that arrived during it.
func (t *Tracker) End(rollout types.NamespacedName) {
	for _, event := range t.release(rollout) {
		event.startPass()
	}
}

// release returns the events that were held, without the echoes.
func (t *Tracker) release(rollout types.NamespacedName) (news []watchEvent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, event := range t.held[rollout] {
		if !t.isEcho(rollout, event) {
			news = append(news, event)
		}
	}
	delete(t.held, rollout)
	return news
}

// Judge starts a pass of a rollout for a watch event, unless the event is an echo and no pass waits for it. During a pass of that
// rollout it does so at the end of the pass.
func (t *Tracker) Judge(rollout types.NamespacedName, object Object, resourceVersion string, startPass func()) {
	if t.isNews(rollout, watchEvent{object, resourceVersion, startPass}) {
		startPass()
	}
}

// isNews reports whether an event starts a pass now. It holds the event if it cannot be judged yet.
func (t *Tracker) isNews(rollout types.NamespacedName, event watchEvent) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held, isBusy := t.held[rollout]; isBusy {
		t.held[rollout] = append(held, event)
		return false
	}
	return !t.isEcho(rollout, event)
}

// isEcho reports whether an event shows no more of an object than what a pass has seen or written, and no pass waits for it. It
// forgets a write that has arrived: no pass of the rollout is in progress, and the cache of the next one shows the write. The lock
// must be held.
func (t *Tracker) isEcho(rollout types.NamespacedName, event watchEvent) bool {
	record := t.rollouts[rollout]
	if record == nil || record.writes[event.object] == nil {
		return false
	}
	write := record.writes[event.object]
	order, err := resourceversion.CompareResourceVersion(event.resourceVersion, write.ResourceVersion)
	switch {
	case err != nil:
		return false
	case order < 0:
		return write.Since == "" || !isOlder(write.Since, event.resourceVersion)
	}
	if !write.Deleted { // the version of a deletion is the one from before it
		delete(record.writes, event.object)
	}
	return order == 0 && !write.Awaited
}
