// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// TestLeaderChange takes the lease from a leader in the middle of a step, while one of its writes is in flight. The
// next leader reads the rollout before it writes anything, and continues. The former leader's late write, which
// arrives after the next leader has written the same object, is refused by its guard, and the former leader writes
// nothing after that.
func TestLeaderChange(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]string{
		"route":   "/httproutes/bookinfo-reviews",
		"service": "/services/reviews-canary",
		"pods":    "/replicasets/",
		"status":  "/canaryrollouts/reviews/status",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := harness.Options{Rate: rate, Steps: []v1alpha1.Step{builder.Weight(40), builder.Pause(time.Second), builder.Weight(60)}}
			a := harness.Prepare(t, env, options)
			former := stand(t, a.Namespace)
			<-former.elected
			next := stand(t, a.Namespace)
			a.Create(a.Rollout(options))
			a.WaitForState(v1alpha1.StateHealthy)
			a.StartTraffic()
			v1 := a.Stable()

			former.loseLease(late)
			a.SetImage(builder.ImageV2)
			a.Eventually("the next leader to write "+late, func() (bool, string) {
				return slices.ContainsFunc(next.writes(), func(w sent) bool { return strings.Contains(w.path, late) }), "it has not"
			})
			close(former.arrives)
			a.CheckPromoted(v1)
			a.CheckLoss()
			former.checkSilent(t, next)
			next.checkReadFirst(t)
		})
	}
}

// candidate is a manager with leader election, with a record of what it sent.
type candidate struct {
	elected <-chan struct{}
	ended   chan error
	// arrives is closed to let the late write through.
	arrives chan struct{}

	mu sync.Mutex
	// late is the path of the write to delay; with it the lease is lost.
	late     string
	lost     bool
	requests []sent
	// lateAnswer is the status code of the late write.
	lateAnswer int
}

// sent is one request, with the time of its response.
type sent struct {
	at           time.Time
	method, path string
	code         int
}

// stand starts a manager with leader election.
func stand(t *testing.T, namespace string) *candidate {
	t.Helper()
	c := &candidate{ended: make(chan error, 1), arrives: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	mgr := newManager(ctx, t, namespace, &disturbance{}, func(config *rest.Config, options *ctrl.Options) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return watched{c, next} })
		options.LeaderElection, options.LeaderElectionID = true, namespace
		options.LeaderElectionNamespace = cluster.OperatorNamespace
		options.LeaseDuration, options.RenewDeadline = ptr.To(3*time.Second), ptr.To(2*time.Second)
		options.RetryPeriod = ptr.To(200 * time.Millisecond)
	})
	c.elected = mgr.Elected()
	go func() { c.ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-c.ended; err != nil {
			t.Error("the manager ended badly:", err)
		}
	})
	return c
}

// loseLease delays the next write to a path, and from then on blocks every request for the lease.
func (c *candidate) loseLease(late string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = late
}

func (c *candidate) writes() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.requests), func(s sent) bool { return s.method == http.MethodGet })
}

// watched records what a candidate sends.
type watched struct {
	*candidate
	next http.RoundTripper
}

var errCut = errors.New("cut off")

func (w watched) RoundTrip(request *http.Request) (*http.Response, error) {
	isLease := strings.Contains(request.URL.Path, "/leases")
	w.mu.Lock()
	isLate := w.late != "" && !w.lost && isWrite(request) && strings.Contains(request.URL.Path, w.late)
	w.lost = w.lost || isLate
	isCut := isLease && w.lost
	w.mu.Unlock()
	switch {
	case isCut:
		return nil, errCut
	case isLate:
		return w.sendLate(request)
	}
	response, err := w.next.RoundTrip(request)
	if err == nil && !isLease && (request.Method == http.MethodGet || isWrite(request)) {
		w.mu.Lock()
		w.requests = append(w.requests, sent{time.Now(), request.Method, request.URL.Path, response.StatusCode})
		w.mu.Unlock()
	}
	return response, err
}

// sendLate delivers a write after its sender has given up.
func (w watched) sendLate(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	late := request.Clone(context.WithoutCancel(request.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	go func() {
		<-w.arrives
		if response, err := w.next.RoundTrip(late); err == nil {
			w.mu.Lock()
			w.lateAnswer = response.StatusCode
			w.mu.Unlock()
			_ = response.Body.Close()
		}
	}()
	<-request.Context().Done()
	return nil, request.Context().Err()
}

// checkSilent checks that a former leader has exited, that its late write was refused, and that none of its other
// writes came after the next leader's first.
func (c *candidate) checkSilent(t *testing.T, next *candidate) {
	t.Helper()
	err := <-c.ended
	close(c.ended)
	if err == nil {
		t.Error("the former leader ended without saying that it lost its lease")
	}
	c.mu.Lock()
	answer := c.lateAnswer // CheckPromoted took seconds after the write was let through
	c.mu.Unlock()
	if answer != http.StatusConflict && answer != http.StatusUnprocessableEntity {
		t.Errorf("the late write was answered %d, want 409 or 422", answer)
	}
	first := next.writes()[0]
	for _, write := range c.writes() {
		if write.at.After(first.at) {
			t.Errorf("the former leader sent %s %s %s after the next one's first write", write.method, write.path, write.at.Sub(first.at))
		}
	}
}

// checkReadFirst checks for a live read of the rollout before the first write.
func (c *candidate) checkReadFirst(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, request := range c.requests {
		switch {
		case request.method == http.MethodGet && strings.HasSuffix(request.path, "/canaryrollouts/reviews"):
			return
		case request.method != http.MethodGet:
			t.Fatalf("the next leader sent %s %s before it read the rollout", request.method, request.path)
		}
	}
}
