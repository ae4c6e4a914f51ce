// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cost"
)

// deploy creates all rollouts and waits until they are deployed.
func (s *stage) deploy(ctx context.Context) error {
	for _, name := range []string{fleetNamespace, calmNamespace} {
		if err := s.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return err
		}
	}
	const writers = 8
	workloads := make([][][]byte, writers)
	workloads[0] = append(workloads[0], calmWorkload(one.Name))
	for i, key := range s.fleet() {
		workloads[i%writers] = append(workloads[i%writers], fleetWorkload(key.Name))
	}
	group, writing := errgroup.WithContext(ctx)
	for _, part := range workloads {
		group.Go(func() error { return cluster.Apply(writing, s.cluster.RESTConfig(cluster.Admin), part...) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	deployed := s.expectFleet(firstImage)
	first := s.rollouts.expectOne(one, "the calm rollout to be deployed", func(r *rollout) bool { return r.Status.State == "Healthy" })
	_, err := deployed.wait(ctx)
	if err == nil {
		_, err = first.wait(ctx)
	}
	return err
}

// fleet returns the names of the n rollouts.
func (s *stage) fleet() (keys []types.NamespacedName) {
	for i := range s.n {
		keys = append(keys, types.NamespacedName{Namespace: fleetNamespace, Name: fmt.Sprintf("r-%04d", i)})
	}
	return keys
}

// expectFleet expects all rollouts of the fleet to be healthy, with this image or, if it is empty, with any.
func (s *stage) expectFleet(image string) *awaited[*rollout] {
	keys := s.fleet()
	return s.rollouts.expect(fmt.Sprintf("%d healthy rollouts %s", s.n, image), func(all map[types.NamespacedName]*rollout) bool {
		for _, key := range keys {
			if r := all[key]; r == nil || !r.isHealthy() || image != "" && r.Status.Images != image {
				return false
			}
		}
		return true
	})
}

// nextImage returns an image that was not used before.
func (s *stage) nextImage() string {
	s.image++
	return fmt.Sprintf("example/app:%d", s.image)
}

// setImage changes the image of a rollout and returns the new generation.
func (s *stage) setImage(ctx context.Context, key types.NamespacedName, image string) (generation int64, err error) {
	changed := &rollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	patch := fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":%q,"ports":[{"name":"http","containerPort":9080}]}]}}}}`, image)
	err = s.admin.Patch(ctx, changed, client.RawPatch(types.MergePatchType, patch))
	return changed.Generation, err
}

// setImages changes the image of the whole fleet at once.
func (s *stage) setImages(ctx context.Context, image string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for _, key := range s.fleet() {
		group.Go(func() error {
			_, err := s.setImage(ctx, key, image)
			return err
		})
	}
	return group.Wait()
}

// command annotates a rollout.
func (s *stage) command(ctx context.Context, key types.NamespacedName, annotation string) error {
	object := &rollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, annotation)
	return s.admin.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
}

const (
	// silence is how long a manager at rest must have sent no request, and patience how long it may take until then.
	silence  = 3 * time.Second
	patience = 5 * time.Minute
)

// rest waits until the fleet is healthy and the manager sends no more requests.
func (s *stage) rest(ctx context.Context) error {
	if _, err := s.expectFleet("").wait(ctx); err != nil {
		return err
	}
	return s.quiet(ctx)
}

func (s *stage) quiet(ctx context.Context) error {
	limit := time.After(patience)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for last := time.Now(); time.Since(last) < silence; {
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("the manager still sends requests %s after its rollouts were healthy", patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		before := len(s.events)
		if err := s.readAudit(); err != nil {
			return err
		}
		for i := range s.events[before:] {
			if cost.ByOperator(&s.events[before+i]) {
				last = time.Now()
			}
		}
	}
	return nil
}

// readAudit adds the newest requests to those of the window.
func (s *stage) readAudit() error {
	events, err := s.audit.Next(cost.IsRequest)
	s.events = append(s.events, events...)
	return err
}
