// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// Write is a successful write.
type Write struct {
	Object
	UID             types.UID
	ResourceVersion string
	// Since is the version that the pass of the write has seen, if others may have written in between: then the guard of the write is
	// not the version. Otherwise it is empty.
	Since string
	// Created and Deleted say what it means if the object is missing from the cache, or is in it.
	Created, Deleted bool
	// Awaited is set if the next pass waits for the cache to show the write.
	Awaited bool
}

// Object names an object in the rollout's namespace.
type Object struct {
	Kind schema.GroupVersionKind
	Name string
}

// Tracker remembers, per rollout, what this process wrote last, so that no pass acts on older state, and what the API
// server refused. It is safe for concurrent use; the zero value is ready to use.
type Tracker struct {
	mu       sync.Mutex
	rollouts map[types.NamespacedName]*record
	// held are the watch events that arrived during a pass, by the rollout of the pass. A rollout without a pass has no entry.
	held map[types.NamespacedName][]watchEvent
}

// record is what the tracker knows about one rollout.
type record struct {
	// confirmed is the UID of the rollout that this process has read live.
	confirmed types.UID
	writes    map[Object]*pending
	// taken are ReplicaSet names that the API server reported as in use although the cache has none.
	taken map[string]bool
	// refused is the last pod template that the API server refused.
	refused refusal
	// spec is what follows from the last spec.
	spec *specDigest
}

// refusal is a pod template that the API server refused.
type refusal struct {
	hash    string
	problem plan.Problem
	// until is when to ask the API server again.
	until time.Time
}

// specDigest is what follows from a spec alone. Its template is decoded and hashed once, not in each pass.
type specDigest struct {
	// of is what the digest is of. A generation would not do: new defaults in a CRD change what is read without a new generation.
	of storedSpec

	// template and steps are hashes of what is stored.
	template, steps string
	// images are those of the containers, for people; labels are those of the pods.
	images string
	labels map[string]string
}

// pending is the last write to an object.
type pending struct {
	Write
	// isShown is set once a pass has found the write in the cache. It is kept for its watch event, which may come later.
	isShown bool
	// refused counts the passes that ended because of it.
	refused int
}

// Wrote records a write for a rollout.
func (t *Tracker) Wrote(rollout types.NamespacedName, write Write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(rollout).writes[write.Object] = &pending{Write: write}
}

// Forget drops everything about a rollout that is gone.
func (t *Tracker) Forget(rollout types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rollouts, rollout)
}

// NameTaken records that a ReplicaSet could not be created because its name is in use.
func (t *Tracker) NameTaken(rollout types.NamespacedName, replicaSet string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(rollout).taken[replicaSet] = true
}

func (t *Tracker) isTaken(rollout types.NamespacedName, replicaSet string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(rollout).taken[replicaSet]
}

// refuse remembers that the API server refused a template.
func (t *Tracker) refuse(rollout types.NamespacedName, refused refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(rollout).refused = refused
}

// refusal returns what the API server said about the template with that hash, and whether that still holds.
func (t *Tracker) refusal(rollout types.NamespacedName, hash string, now time.Time) (refused refusal, isRefused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused = t.of(rollout).refused
	return refused, refused.hash == hash && now.Before(refused.until)
}

// digest returns what follows from the spec of a rollout.
func (t *Tracker) digest(rollout *Rollout) (*specDigest, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record := t.of(rollout.Key())
	if known := record.spec; known != nil && known.of.isSame(rollout.stored()) {
		known.of = rollout.stored() // the cache no longer holds the former one
		return known, nil
	}
	digest, err := newSpecDigest(rollout)
	if err == nil {
		record.spec = digest
	}
	return digest, err
}

func newSpecDigest(rollout *Rollout) (*specDigest, error) {
	stored := rollout.Raw()
	raw := revision.Template(stored)
	digest := &specDigest{of: rollout.stored(), images: images(raw), labels: revision.PodLabels(raw)}
	var err error
	if digest.template, err = revision.Hash(raw); err != nil {
		return nil, err
	}
	digest.steps, err = revision.StepsHash(stored)
	return digest, err
}

func (t *Tracker) confirm(rollout types.NamespacedName, uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(rollout).confirmed = uid
}

func (t *Tracker) isConfirmed(rollout types.NamespacedName, uid types.UID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(rollout).confirmed == uid
}

// settle drops a write that need not be waited for any longer.
func (t *Tracker) settle(rollout types.NamespacedName, object Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.of(rollout).writes, object)
}

// of returns the record of a rollout. The lock must be held.
func (t *Tracker) of(rollout types.NamespacedName) *record {
	if t.rollouts == nil {
		t.rollouts = map[types.NamespacedName]*record{}
	}
	if t.rollouts[rollout] == nil {
		t.rollouts[rollout] = &record{writes: map[Object]*pending{}, taken: map[string]bool{}}
	}
	return t.rollouts[rollout]
}

// cached is the state of an object in the cache; the zero value means that it is not there.
type cached struct {
	found           bool
	uid             types.UID
	resourceVersion string
}

// pendingNames returns the names of the objects of a kind with a pending write. They have to be checked by name: a
// created object that is not in the cache is on no list.
func (t *Tracker) pendingNames(rollout types.NamespacedName, kind schema.GroupVersionKind) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for object, write := range t.of(rollout).writes {
		if object.Kind == kind && !write.isShown {
			names = append(names, object.Name)
		}
	}
	return names
}

// behind compares the state of an object in the cache with our last write to it. It returns how many passes have ended because the
// cache is behind, this one included; 0 if it is not.
func (t *Tracker) behind(rollout types.NamespacedName, object Object, in cached) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	write := t.of(rollout).writes[object]
	switch {
	case write == nil || write.isShown:
		return 0
	case write.lags(in):
		write.refused++
		write.Awaited = true
		return write.refused
	case !in.found || write.Deleted:
		delete(t.of(rollout).writes, object)
	default:
		write.isShown = true
	}
	return 0
}

// lags reports whether the cache is behind the write. An object that we changed was in the cache before, so if it is
// missing, somebody deleted it. Only one that we created can be missing because it has not arrived yet.
func (w *pending) lags(in cached) bool {
	switch {
	case !in.found:
		return w.Created
	case w.Deleted:
		return in.uid == w.UID
	default:
		return isOlder(in.resourceVersion, w.ResourceVersion)
	}
}

// isOlder returns false if the two cannot be compared: a state that is not known to be old must not stop a rollout.
func isOlder(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
