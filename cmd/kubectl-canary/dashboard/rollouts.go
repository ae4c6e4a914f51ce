// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
)

// rollouts keeps all rollouts that are shown, and tells the streams when one has changed. One watch serves all of them.
type rollouts struct {
	// feeds are one for all namespaces, or one for each of those that are shown.
	feeds []*feed.Feed
	dirty chan struct{}
	now   func() time.Time

	mu      sync.Mutex
	last    snapshot
	curves  map[types.UID]*curve
	streams map[chan struct{}]struct{}
}

// snapshot is what is known of all rollouts at a time.
type snapshot struct {
	rollouts []*v1alpha1.CanaryRollout
	// isSynced is true once the rollouts have been listed.
	isSynced bool
	// err is why the rollouts cannot be watched at the moment.
	err error
}

// find returns a rollout, or nil if there is none of this name.
func (s snapshot) find(namespace, name string) *v1alpha1.CanaryRollout {
	for _, rollout := range s.rollouts {
		if rollout.Namespace == namespace && rollout.Name == name {
			return rollout
		}
	}
	return nil
}

func newRollouts(options Options) *rollouts {
	r := &rollouts{dirty: make(chan struct{}, 1), now: options.Now, streams: map[chan struct{}]struct{}{}, curves: map[types.UID]*curve{}}
	namespaces := options.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, namespace := range namespaces {
		r.feeds = append(r.feeds, feed.New(options.Client, &v1alpha1.CanaryRolloutList{}, r.dirty, slim, client.InNamespace(namespace)))
	}
	return r
}

// slim drops what no page shows. Templates and managed fields take most of the memory.
func slim(object client.Object) {
	object.SetManagedFields(nil)
	rollout, is := object.(*v1alpha1.CanaryRollout)
	if !is {
		return
	}
	if kept, err := json.Marshal(imagesOf(rollout)); err == nil {
		rollout.Spec.Template.Raw = kept
	}
}

// images is what is kept of a template.
type images struct {
	Spec struct {
		Containers     []container `json:"containers,omitempty"`
		InitContainers []container `json:"initContainers,omitempty"`
	} `json:"spec"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// imagesOf returns no images if the template cannot be read. The status says why.
func imagesOf(rollout *v1alpha1.CanaryRollout) (of images) {
	if json.Unmarshal(rollout.Spec.Template.Raw, &of) != nil {
		return images{}
	}
	return of
}

// mostOften is the minimum time between two messages of a stream.
const mostOften = 100 * time.Millisecond

func (r *rollouts) run(ctx context.Context) {
	for _, f := range r.feeds {
		go f.Run(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.dirty:
		}
		r.look()
		select {
		case <-ctx.Done():
			return
		case <-time.After(mostOften):
		}
	}
}

// look takes a snapshot, adds the weights in it to the curves, and tells the streams.
func (r *rollouts) look() {
	objects, isSynced, err := r.objects()
	next, curves, now := snapshot{isSynced: isSynced, err: err}, map[types.UID]*curve{}, r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, object := range objects {
		rollout, is := object.(*v1alpha1.CanaryRollout)
		if !is {
			continue
		}
		c := r.curves[rollout.UID]
		if c == nil {
			c = &curve{}
		}
		c.add(rollout, now)
		curves[rollout.UID] = c
		next.rollouts = append(next.rollouts, rollout)
	}
	r.last, r.curves = next, curves
	for changed := range r.streams {
		select {
		case changed <- struct{}{}:
		default: // there already is a token
		}
	}
}

// objects returns the objects of all feeds, whether each has listed its own once, and their current errors.
func (r *rollouts) objects() (objects []client.Object, isSynced bool, err error) {
	isSynced = true
	for _, f := range r.feeds {
		some, listed, failed := f.State()
		objects, isSynced, err = append(objects, some...), isSynced && listed, errors.Join(err, failed)
	}
	return objects, isSynced, err
}

func (r *rollouts) state() snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// curve returns the weights of a rollout over time.
func (r *rollouts) curve(uid types.UID) (points []point, samples []sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	points, samples = []point{}, []sample{}
	if c := r.curves[uid]; c != nil {
		points, samples = append(points, c.points...), append(samples, c.samples...)
	}
	return points, samples
}

// subscribe returns a channel that receives a token whenever a rollout may have changed, until the context is done.
func (r *rollouts) subscribe(ctx context.Context) chan struct{} {
	changed := make(chan struct{}, 1)
	r.mu.Lock()
	r.streams[changed] = struct{}{}
	r.mu.Unlock()
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.streams, changed)
	})
	return changed
}
