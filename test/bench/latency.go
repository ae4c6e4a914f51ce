// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// atFirstPause releases a new image of the calm rollout, and waits for its first pause.
func (s *stage) atFirstPause(ctx context.Context) error {
	image := s.nextImage()
	if _, err := s.setImage(ctx, one, image); err != nil {
		return err
	}
	_, err := s.rollouts.expectOne(one, "the first pause of "+one.String(), func(r *rollout) bool {
		return r.isPausedAt(1) && strings.Contains(r.Status.Images, image)
	}).wait(ctx)
	return err
}

// commanded gives the calm rollout a command, and returns how long it takes until its route has the weight.
func (s *stage) commanded(ctx context.Context, annotation string, percent int32) (time.Duration, error) {
	begun := time.Now()
	if err := s.command(ctx, one, annotation); err != nil {
		return 0, err
	}
	_, err := s.gateway.weights.expectOne(one, fmt.Sprintf("weight %d", percent), func(w weight) bool { return w.percent == percent }).wait(ctx)
	return s.gateway.weights.get(one).since.Sub(begun), err
}

// sampling is how long latencies are measured at most.
const sampling = 2 * time.Minute

// promotions measures how long it takes from a promote command to the next weight in the route.
func (s *stage) promotions(ctx context.Context) (latencies []time.Duration, err error) {
	for end := time.Now().Add(sampling); len(latencies) < s.options.samples && time.Now().Before(end); {
		if err := s.atFirstPause(ctx); err != nil {
			return nil, err
		}
		for pause := 2; pause <= pauses && len(latencies) < s.options.samples && time.Now().Before(end); pause++ {
			latency, err := s.commanded(ctx, v1alpha1.PromoteAnnotation, weightAt(pause))
			if err != nil {
				return nil, err
			}
			latencies = append(latencies, latency)
			_, err = s.rollouts.expectOne(one, "pause "+stepAt(pause), func(r *rollout) bool { return r.isPausedAt(pause) }).wait(ctx)
			if err != nil {
				return nil, err
			}
		}
	}
	return latencies, nil
}

// recordLatencies records two percentiles. With fewer than a hundred samples, the second is the longest.
func (s *stage) recordLatencies(what string, latencies []time.Duration) {
	slices.Sort(latencies)
	for _, p := range []int{50, 99} {
		rank := (p*len(latencies) + 99) / 100
		s.record(fmt.Sprintf("%s, p%d", what, p), "ms", 1000*latencies[rank-1].Seconds())
	}
	s.record(what+", samples", "", float64(len(latencies)))
}

// oneOfMany measures how long a promotion of one rollout takes while the others are idle, and while they all release.
func oneOfMany(ctx context.Context, s *stage) error {
	if err := s.rest(ctx); err != nil {
		return err
	}
	latencies, err := s.promotions(ctx)
	if err != nil {
		return err
	}
	s.recordLatencies("promotion among idle ones", latencies)
	stop := s.drive(ctx, s.releaseAgain)
	latencies, err = s.promotions(ctx)
	if err != nil {
		return err
	}
	s.recordLatencies("promotion among busy ones", latencies)
	return stop()
}

// storm changes the rollouts of one namespace all the time, and measures how long aborts in another one take.
func storm(ctx context.Context, s *stage) error {
	if err := s.setImages(ctx, s.nextImage()); err != nil {
		return err
	}
	stop := s.drive(ctx, s.changeNext)
	if err := s.atFirstPause(ctx); err != nil {
		return err
	}
	var latencies []time.Duration
	for end := time.Now().Add(sampling); len(latencies) < s.options.samples && time.Now().Before(end); {
		latency, err := s.commanded(ctx, v1alpha1.AbortAnnotation, 0)
		if err != nil {
			return err
		}
		latencies = append(latencies, latency)
		aborted := func(r *rollout) bool { return r.Status.State == "Aborted" && r.hasNoCommand() }
		if _, err := s.rollouts.expectOne(one, "the abort", aborted).wait(ctx); err != nil {
			return err
		}
		if err := s.command(ctx, one, v1alpha1.RetryAnnotation); err != nil {
			return err
		}
		if _, err := s.rollouts.expectOne(one, "the retry", func(r *rollout) bool { return r.isPausedAt(1) }).wait(ctx); err != nil {
			return err
		}
	}
	s.recordLatencies("abort", latencies)
	return stop()
}

// drive calls step 20 times per second until stop is called. Step gets the number of the call.
func (s *stage) drive(ctx context.Context, step func(ctx context.Context, i int) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				ended <- nil
				return
			}
			if err := step(ctx, i); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
	}()
	return func() error {
		cancel()
		return <-ended
	}
}

// releaseAgain changes the rollouts that have released.
func (s *stage) releaseAgain(ctx context.Context, i int) error {
	var done []types.NamespacedName
	for _, key := range s.fleet() {
		if s.rollouts.get(key).isHealthy() {
			done = append(done, key)
		}
	}
	for _, key := range done {
		if _, err := s.setImage(ctx, key, fmt.Sprintf("example/busy:%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// changeNext changes one rollout after the other, whatever its state.
func (s *stage) changeNext(ctx context.Context, i int) error {
	key := s.fleet()[i%s.n]
	_, err := s.setImage(ctx, key, fmt.Sprintf("example/storm:%d", i))
	return err
}
