// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// patience is the timeout of every wait.
const patience = 40 * time.Second

// publications are all versions of a rollout that the API server published, in order, including states that last for
// milliseconds.
type publications struct {
	mu      sync.Mutex
	seen    []publication
	changed chan struct{}
	// cursor is where the next wait starts.
	cursor int
}

type publication struct {
	at      time.Time
	rollout *v1alpha1.CanaryRollout
	deleted bool
}

// watch begins to collect publications. An informer continues when the API server ends a watch, as it does when the
// CustomResourceDefinition changes.
func watch(t *testing.T, namespace, name string) *publications {
	t.Helper()
	p := &publications{changed: make(chan struct{})}
	watcher, stopped := startInformer(t, client.InNamespace(namespace), client.MatchingFields{"metadata.name": name})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case event := <-watcher.ResultChan():
				if rollout, ok := event.Object.(*v1alpha1.CanaryRollout); ok {
					p.add(publication{time.Now(), rollout, event.Type == apiwatch.Deleted})
				}
			case <-stopped:
				return
			}
		}
	}()
	t.Cleanup(func() {
		watcher.Stop()
		<-done
	})
	return p
}

// startInformer returns the events of an informer on rollouts, once it has listed them, and a channel that is closed when it has
// been stopped.
func startInformer(t *testing.T, selection ...client.ListOption) (apiwatch.Interface, <-chan struct{}) {
	t.Helper()
	selected := func(options metav1.ListOptions) []client.ListOption {
		return append([]client.ListOption{&client.ListOptions{Raw: &options}}, selection...)
	}
	_, informer, watcher, stopped := watchtools.NewIndexerInformerWatcher(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &v1alpha1.CanaryRolloutList{}
			return list, env.Admin.List(ctx, list, selected(options)...)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			return env.Admin.Watch(ctx, &v1alpha1.CanaryRolloutList{}, selected(options)...)
		},
	}, &v1alpha1.CanaryRollout{})
	if !cache.WaitForCacheSync(t.Context().Done(), informer.HasSynced) {
		t.Fatal("the informer has not listed the rollouts")
	}
	return watcher, stopped
}

func (p *publications) add(next publication) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, next)
	close(p.changed)
	p.changed = make(chan struct{})
}

// all returns the publications so far, and a channel that is closed when there are more.
func (p *publications) all() ([]publication, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.seen), p.changed
}

func (p *publications) tail(n int) string {
	seen, _ := p.all()
	var lines []string
	for _, published := range seen[max(0, len(seen)-n):] {
		lines = append(lines, published.at.UTC().Format("15:04:05.000 ")+describe(published.rollout))
	}
	return strings.Join(lines, "\n")
}

func describe(rollout *v1alpha1.CanaryRollout) string {
	s := rollout.Status
	return fmt.Sprintf("generation %d of %d: %s step %s weight %s revision %s ready %s: %s %v", s.ObservedGeneration,
		rollout.Generation, s.State, s.Step, s.Weight, s.Revision, s.Ready, s.Message, rollout.Annotations)
}

// waitForPublication waits for a matching publication, starting with the one at which the last wait ended.
func (a *app) waitForPublication(what string, fits func(publication) bool) publication {
	a.t.Helper()
	deadline := time.After(patience)
	for next := a.published.cursor; ; {
		seen, changed := a.published.all()
		for ; next < len(seen); next++ {
			if a.isNews(seen[next]) && fits(seen[next]) {
				a.published.cursor = next
				return seen[next]
			}
		}
		select {
		case <-changed:
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		case <-deadline:
			a.t.Fatalf("timed out after %s waiting for %s", patience, what)
		}
	}
}

// isNews reports whether a publication is not older than the test's last write.
func (a *app) isNews(published publication) bool {
	order, err := resourceversion.CompareResourceVersion(published.rollout.ResourceVersion, a.version)
	if err != nil {
		a.t.Fatal(err)
	}
	return order >= 0
}

// waitFor waits for a status that reflects the newest spec.
func (a *app) waitFor(what string, fits func(*v1alpha1.CanaryRollout) bool) *v1alpha1.CanaryRollout {
	a.t.Helper()
	return a.waitForPublication(what, func(published publication) bool {
		return !published.deleted && published.rollout.Status.ObservedGeneration >= a.generation && fits(published.rollout)
	}).rollout
}

func (a *app) waitForState(state v1alpha1.State) *v1alpha1.CanaryRollout {
	a.t.Helper()
	return a.waitFor(string(state), func(r *v1alpha1.CanaryRollout) bool { return r.Status.State == state })
}

func (a *app) waitForStep(state v1alpha1.State, step string) *v1alpha1.CanaryRollout {
	a.t.Helper()
	return a.waitFor(string(state)+" at step "+step, func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == state && r.Status.Step == step
	})
}

// waitUntilGone waits until the rollout has been deleted.
func (a *app) waitUntilGone() time.Time {
	a.t.Helper()
	return a.waitForPublication("the rollout to go", func(published publication) bool { return published.deleted }).at
}

// waitForStable waits until the release of an image is complete.
func (a *app) waitForStable(image string) *v1alpha1.CanaryRollout {
	a.t.Helper()
	return a.waitFor("Healthy with "+image, func(r *v1alpha1.CanaryRollout) bool {
		return r.Status.State == v1alpha1.StateHealthy && r.Status.Images == image
	})
}
