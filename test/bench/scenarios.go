// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
	"github.com/canaryrollout/canaryrollout/test/framework/operator"
)

// scenarios are in the order in which a stage runs them. Each begins with a fleet at rest, except the last: a storm leaves
// the fleet in the middle of releases.
var scenarios = []struct {
	name string
	run  func(context.Context, *stage) error
}{
	{"idle", idle},
	{"restart", restart},
	{"fleet", fleet},
	{"one-of-many", oneOfMany},
	{"storm", storm},
}

func scenarioNames() (names []string) {
	for _, scenario := range scenarios {
		names = append(names, scenario.name)
	}
	return names
}

// idle measures rollouts that have nothing to do.
func idle(ctx context.Context, s *stage) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	w, err := s.open(ctx)
	if err != nil {
		return err
	}
	select {
	case <-time.After(s.options.idle):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	total, err := s.close(ctx, w)
	if err != nil {
		return err
	}
	s.record("requests", "", float64(total.requests.Total()))
	s.record("passes", "", total.passes)
	s.record("CPU of the manager", "% of a core", 100*total.manager/total.seconds)
	s.record("CPU of the API server", "% of a core", 100*total.apiServer/total.seconds)
	return s.recordMemory("")
}

// recordMemory records what the manager and the API server hold. Peak says that it is the maximum until now.
func (s *stage) recordMemory(peak string) error {
	for _, process := range []struct {
		name string
		pid  int
	}{{"the manager", s.manager.PID()}, {"the API server", s.cluster.Process(cluster.APIServer).PID()}} {
		now, most, err := memory(process.pid)
		if err != nil {
			return err
		}
		if peak != "" {
			now = most
		}
		s.record(peak+"memory of "+process.name, "MiB", now)
	}
	return nil
}

// fleet changes all images at once, and measures until every rollout has released.
func fleet(ctx context.Context, s *stage) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	w, err := s.open(ctx)
	if err != nil {
		return err
	}
	image := s.nextImage()
	released := s.expectFleet(image)
	profiled := s.startProfiles(ctx)
	if err := s.setImages(ctx, image); err != nil {
		return err
	}
	at, err := released.wait(ctx)
	if err != nil {
		return err
	}
	if err := s.quiet(ctx); err != nil {
		return err
	}
	total, err := s.close(ctx, w)
	if err != nil {
		return err
	}
	s.record("until all are healthy", "s", at.Sub(w.began).Seconds())
	s.recordFleet(total)
	if err := s.recordMemory("peak "); err != nil {
		return err
	}
	return profiled()
}

func (s *stage) recordFleet(total *spent) {
	each := float64(s.n)
	s.record("requests per rollout", "", float64(total.requests.Total())/each)
	for _, kind := range total.requests.Kinds() {
		s.record(kind, "", float64(total.requests[kind])/each)
	}
	s.record("passes per rollout", "", total.passes/each)
	s.record("CPU of the manager per rollout", "ms", 1000*total.manager/each)
	s.record("CPU of the API server per rollout", "ms", 1000*total.apiServer/each)
	s.record("CPU of the cluster per rollout", "ms", 1000*total.everything/each)
	s.record("CPU of the machine", "s", total.machine)
	for _, user := range slices.Sorted(maps.Keys(total.others)) {
		s.record("requests of "+user+" per rollout", "", float64(total.others[user])/each)
	}
}

// restart kills the manager, as a crash does, and measures when the next one acts on a change: the same replica after it was
// started again, and a replica that was waiting.
func restart(ctx context.Context, s *stage) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	s.events = nil
	noticed, err := s.crash(ctx, s.manager, func() (err error) {
		s.manager, err = s.startManager(ctx, 0)
		return err
	})
	if err != nil {
		return err
	}
	s.record("until a change is noticed", "s", noticed.Seconds())
	if err := s.readAudit(); err != nil {
		return err
	}
	requests := 0
	for i := range s.events {
		if cost.ByOperator(&s.events[i]) {
			requests++
		}
	}
	s.record("requests until then", "", float64(requests))
	now, _, err := memory(s.manager.PID())
	if err != nil {
		return err
	}
	s.record("memory of the manager", "MiB", now)
	leader := s.manager
	if s.manager, err = s.startManager(ctx, 1); err != nil {
		return errors.Join(err, leader.Stop())
	}
	noticed, err = s.crash(ctx, leader, func() error { return nil })
	s.record("until a change is noticed, with a standby", "s", noticed.Seconds())
	return err
}

// crash kills the manager, changes a rollout, calls next, and returns how long the change was unnoticed.
func (s *stage) crash(ctx context.Context, leader *operator.Operator, next func() error) (noticed time.Duration, err error) {
	leader.Kill()
	killed := time.Now()
	generation, err := s.setImage(ctx, one, s.nextImage())
	if err != nil {
		return 0, err
	}
	seen := s.rollouts.expectOne(one, "a change to be noticed", func(r *rollout) bool { return r.Status.ObservedGeneration >= generation })
	if err := next(); err != nil {
		return 0, err
	}
	at, err := seen.wait(ctx)
	return at.Sub(killed), err
}
