// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Moment is a status as the API server published it. It is empty if the rollout was gone.
type Moment struct {
	At time.Time
	// UID is that of the rollout: a script may delete it, and create another one of its name.
	UID    types.UID
	Status v1alpha1.CanaryRolloutStatus
}

// record keeps every status that the API server publishes. It restarts the watch when the API server ends it, as it
// does when the CRD changes; the new watch starts with the current status.
func (a *App) record() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	watcher, err := a.watch(ctx)
	if err != nil {
		cancel()
		a.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err == nil {
				a.keep(watcher)
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond): // the API server may be down
				watcher, err = a.watch(ctx)
			}
		}
	}()
	a.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (a *App) watch(ctx context.Context) (watch.Interface, error) {
	return a.env.Admin.Watch(ctx, &v1alpha1.CanaryRolloutList{}, client.InNamespace(a.Namespace))
}

func (a *App) keep(watcher watch.Interface) {
	defer watcher.Stop()
	for event := range watcher.ResultChan() {
		rollout, ok := event.Object.(*v1alpha1.CanaryRollout)
		if !ok || rollout.Name != "reviews" {
			continue
		}
		moment := Moment{At: time.Now(), UID: rollout.UID, Status: rollout.Status}
		if event.Type == watch.Deleted {
			moment.Status = v1alpha1.CanaryRolloutStatus{} // the rollout no longer exists
		}
		a.mu.Lock()
		a.history = append(a.history, moment)
		a.mu.Unlock()
	}
}

// Moments returns all statuses so far.
func (a *App) Moments() []Moment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Moment(nil), a.history...)
}

// WaitFor waits for a status that meets the condition. The current status counts, earlier ones do not.
func (a *App) WaitFor(what string, condition func(v1alpha1.CanaryRolloutStatus) bool) time.Time {
	a.t.Helper()
	var at time.Time
	from := max(0, len(a.Moments())-1)
	a.Eventually(what, func() (bool, string) {
		last := "no status yet"
		for _, moment := range a.Moments()[from:] {
			at, last = moment.At, describe(moment.Status)
			if condition(moment.Status) {
				return true, ""
			}
		}
		return false, last
	})
	return at
}

func describe(s v1alpha1.CanaryRolloutStatus) string {
	return fmt.Sprintf("%s step %s weight %s revision %s ready %s: %s", s.State, s.Step, s.Weight, s.Revision, s.Ready, s.Message)
}

// WaitForState waits for a state.
func (a *App) WaitForState(state v1alpha1.State) time.Time {
	a.t.Helper()
	return a.WaitFor(string(state), func(s v1alpha1.CanaryRolloutStatus) bool { return s.State == state })
}

// WaitForPause waits until a step, such as "3/12", pauses.
func (a *App) WaitForPause(step string) time.Time {
	a.t.Helper()
	return a.WaitFor("the pause at step "+step, func(s v1alpha1.CanaryRolloutStatus) bool {
		return s.State == v1alpha1.StatePaused && s.Step == step
	})
}

// Eventually waits for a condition, which describes the current state while it does not hold.
func (a *App) Eventually(what string, condition func() (bool, string)) {
	a.t.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var ok bool
		if ok, last = condition(); ok {
			return
		}
		select {
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	a.t.Fatalf("timed out after %s waiting for %s: %s", patience, what, last)
}

// WaitForDrain waits until a former revision's pods are gone and memory no longer lists it, under constant traffic.
func (a *App) WaitForDrain(revision string) {
	a.t.Helper()
	key := client.ObjectKey{Namespace: a.Namespace, Name: "reviews-" + revision}
	a.Eventually("revision "+revision+" to drain", func() (bool, string) {
		set, status := &appsv1.ReplicaSet{}, a.Get().Status
		if err := a.env.Admin.Get(a.t.Context(), key, set); apierrors.IsNotFound(err) {
			return len(status.Memory.Draining) == 0, describe(status) // it never had a ReplicaSet
		} else if err != nil {
			a.t.Fatal(err)
		}
		return *set.Spec.Replicas == 0 && set.Status.Replicas == 0 && len(status.Memory.Draining) == 0, describe(status)
	})
}

// Answers waits for n more requests.
func (a *App) Answers(n int) {
	a.t.Helper()
	from := time.Now()
	a.Eventually("more requests", func() (bool, string) {
		stats := a.Traffic.Since(from)
		return stats.Sent >= n, stats.String()
	})
}

// Available returns the number of available pods of a revision.
func (a *App) Available(revision string) int32 {
	a.t.Helper()
	set := &appsv1.ReplicaSet{}
	if err := a.env.Admin.Get(a.t.Context(), client.ObjectKey{Namespace: a.Namespace, Name: "reviews-" + revision}, set); err != nil {
		a.t.Fatal(err)
	}
	return set.Status.AvailableReplicas
}

// RevisionOf returns the revision of the ReplicaSet with this image.
func (a *App) RevisionOf(image string) string {
	a.t.Helper()
	sets := &appsv1.ReplicaSetList{}
	a.list(sets)
	for _, set := range sets.Items {
		if set.Spec.Template.Spec.Containers[0].Image == image {
			return set.Labels[v1alpha1.RevisionLabel]
		}
	}
	a.t.Fatalf("no ReplicaSet has image %s", image)
	return ""
}
