// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// flaky receives notifications, and refuses some of them for a while. It also forgets to answer: such a notification has arrived, but
// the manager does not know that.
type flaky struct {
	until time.Time

	mu sync.Mutex
	// bodies are what arrived, by id; sequences are the numbers of each rollout in the order in which they first arrived.
	bodies    map[string]string
	sequences map[string][]int64
	// types counts what arrived of each rollout, by the transition.
	types               map[string]map[string]int
	refused, duplicates int
	errs                []error
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its manager was killed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fails := time.Now().Before(f.until) && rand.N(100) < 30; fails {
		f.refused++
		if rand.N(2) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		defer func() { panic(http.ErrAbortHandler) }() // the connection ends without an answer
	}
	var got harness.Notification
	if err := json.Unmarshal(body, &got); err != nil {
		f.errs = append(f.errs, fmt.Errorf("%w: %s", err, body))
		return
	}
	if known, isDuplicate := f.bodies[got.ID]; isDuplicate {
		f.duplicates++
		if known != string(body) {
			f.errs = append(f.errs, fmt.Errorf("%s has two meanings:\n%s\n%s", got.ID, known, body))
		}
		return
	}
	f.bodies[got.ID] = string(body)
	f.sequences[got.Data.Namespace] = append(f.sequences[got.Data.Namespace], got.Data.Sequence)
	if f.types[got.Data.Namespace] == nil {
		f.types[got.Data.Namespace] = map[string]int{}
	}
	f.types[got.Data.Namespace][got.Data.Transition]++
}

// TestNotifications aborts and retries releases until there are more than 1,000 transitions. For the first minute the sink fails at
// random, and the manager is killed twice. Every transition arrives, those of each rollout in their order. What arrives twice has the
// same id and says the same.
func TestNotifications(t *testing.T) {
	const rollouts, rounds, wanted = 20, 11, 1000
	sink := &flaky{until: time.Now().Add(time.Minute), bodies: map[string]string{}, sequences: map[string][]int64{}, types: map[string]map[string]int{}}
	flag := env.Notify(t, sink, "[{name: audit, cloudEvents: {url: '%s'}, requestsPerSecond: 100}]")
	var apps []*harness.App
	for i := range rollouts {
		options := harness.Options{
			Namespace: fmt.Sprintf("notified-%d", i), Steps: []v1alpha1.Step{builder.Hold()},
			Edit: func(r *v1alpha1.CanaryRollout) { r.Spec.Notifications = []v1alpha1.Notification{{Sink: "audit"}} },
		}
		a := harness.Prepare(t, env, options)
		a.Create(a.Rollout(options))
		apps = append(apps, a)
	}
	each(apps, func(a *harness.App) { a.WaitForState(v1alpha1.StateHealthy) })
	sink.mu.Lock()
	sink.until = time.Now().Add(time.Minute)
	sink.mu.Unlock()
	each(apps, func(a *harness.App) { a.SetImage(builder.ImageV2) })
	for round := range rounds {
		each(apps, func(a *harness.App) { a.WaitForState(v1alpha1.StatePaused) })
		each(apps, func(a *harness.App) { a.Annotate(v1alpha1.AbortAnnotation, "true") })
		if round == 2 || round == 4 {
			env.Operator.Kill()
			if err := env.StartOperator(context.WithoutCancel(t.Context()), flag); err != nil {
				t.Fatal(err)
			}
		}
		each(apps, func(a *harness.App) { a.WaitForState(v1alpha1.StateAborted) })
		each(apps, func(a *harness.App) { a.Annotate(v1alpha1.RetryAnnotation, "true") })
	}
	each(apps, func(a *harness.App) { a.WaitForState(v1alpha1.StatePaused) })
	each(apps, func(a *harness.App) {
		a.WaitFor("everything to be delivered", func(s v1alpha1.CanaryRolloutStatus) bool {
			return s.State == v1alpha1.StatePaused && len(s.Memory.Notifications.Pending) == 0
		})
	})
	sink.check(t, apps, rounds, wanted)
}

func each(apps []*harness.App, do func(*harness.App)) {
	for _, a := range apps {
		do(a)
	}
}

// check compares what arrived with what happened.
func (f *flaky) check(t *testing.T, apps []*harness.App, rounds, wanted int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := errors.Join(f.errs...); err != nil {
		t.Error(err)
	}
	for _, a := range apps {
		memory := a.Get().Status.Memory.Notifications
		var want []int64
		for sequence := range memory.Sequence {
			want = append(want, sequence+1)
		}
		if got := f.sequences[a.Namespace]; !slices.Equal(got, want) || memory.Dropped > 0 {
			t.Errorf("%s: arrived %v of %d, %d dropped", a.Namespace, got, memory.Sequence, memory.Dropped)
		}
		for transition, count := range map[string]int{"Started": rounds + 2, "Promoted": 1, "Paused": rounds + 1, "Aborting": rounds, "Aborted": rounds, "Retried": rounds} {
			if got := f.types[a.Namespace][transition]; got != count {
				t.Errorf("%s: %d times %s, want %d", a.Namespace, got, transition, count)
			}
		}
	}
	if len(f.bodies) < wanted || f.refused == 0 || f.duplicates == 0 {
		t.Errorf("%d transitions arrived, %d requests failed, %d arrived again: this test has not tested what it should", len(f.bodies), f.refused, f.duplicates)
	}
	t.Logf("%d transitions arrived, %d requests failed, %d arrived again", len(f.bodies), f.refused, f.duplicates)
}
