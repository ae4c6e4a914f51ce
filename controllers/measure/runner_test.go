// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

var reviews = types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// reply returns the answer of a provider.
func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

const one = `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`

// answersAfter returns a transport that answers after a time, unless the request is canceled.
func answersAfter(latency time.Duration, body string) roundTripper {
	return func(request *http.Request) (*http.Response, error) {
		select {
		case <-time.After(latency):
			return reply(http.StatusOK, body), nil
		case <-request.Context().Done():
			return nil, request.Context().Err()
		}
	}
}

// withProviders parses providers and replaces their transports.
func withProviders(t *testing.T, transports map[string]roundTripper) Providers {
	t.Helper()
	var content strings.Builder
	for name := range transports {
		fmt.Fprintf(&content, "- {name: %s, prometheus: {url: 'http://%[1]s'}}\n", name)
	}
	providers, err := parseProviders([]byte(content.String()), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range transports {
		providers.byName[name].Client = &http.Client{Transport: transport}
	}
	return providers
}

// start runs a Runner until the returned function is called, which waits for its end. It collects the events.
func start(t *testing.T, r *Runner) (woken *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	woken = &atomic.Int64{}
	var group sync.WaitGroup
	group.Go(func() {
		if err := r.Start(ctx); err != nil {
			t.Error(err)
		}
	})
	group.Go(func() {
		for {
			select {
			case <-r.Events():
				woken.Add(1)
			case <-ctx.Done():
				return
			}
		}
	})
	return woken, func() {
		cancel()
		group.Wait()
	}
}

// threshold returns a measurement of a metric.
func threshold(metric, provider string, number int32) plan.Measurement {
	return plan.Measurement{
		ID:        plan.MeasurementID{Revision: "b", Step: 1, Metric: metric, Number: number},
		Threshold: &plan.ThresholdRequest{Provider: provider, Query: "up", Max: "1"},
	}
}

// TestWant checks that a measurement is made once, wakes one pass, and has its result until it is no longer wanted.
func TestWant(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		r := NewRunner(withProviders(t, map[string]roundTripper{"default": func(request *http.Request) (*http.Response, error) {
			asked.Add(1)
			return answersAfter(100*time.Millisecond, one)(request)
		}}), nil)
		wanted := []plan.Measurement{{Probe: &plan.ProbeRequest{}}, threshold("latency", "default", 0)}
		r.Want(reviews, wanted) // before the start, it waits
		woken, stop := start(t, r)
		defer stop()
		if got := r.Results(reviews); got != nil {
			t.Errorf("results before there is any: %+v", got)
		}
		time.Sleep(time.Second)
		r.Want(reviews, wanted)
		time.Sleep(time.Hour)
		got := r.Results(reviews)
		if len(got) != 1 || got[0].ID != wanted[1].ID || got[0].Outcome != plan.OutcomeGood || got[0].Value != "1" || got[0].At.IsZero() {
			t.Errorf("results %+v", got)
		}
		if asked.Load() != 1 || woken.Load() != 1 {
			t.Errorf("%d requests and %d events, want one each", asked.Load(), woken.Load())
		}
		next := threshold("latency", "default", 1)
		r.Want(reviews, []plan.Measurement{next})
		if got := r.Results(reviews); got != nil {
			t.Errorf("a result that is no longer wanted: %+v", got)
		}
		time.Sleep(time.Second)
		if got := r.Results(reviews); len(got) != 1 || got[0].ID != next.ID {
			t.Errorf("results %+v", got)
		}
		r.Want(reviews, nil)
		if got := r.Results(reviews); got != nil || len(r.rollouts) != 0 {
			t.Errorf("results %+v, %d rollouts", got, len(r.rollouts))
		}
	})
}

// TestCancel checks that a measurement that is no longer wanted is canceled, that its late result is dropped, and that the same
// measurement can be wanted again.
func TestCancel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var canceled atomic.Int64
		late := true
		r := NewRunner(withProviders(t, map[string]roundTripper{"default": func(request *http.Request) (*http.Response, error) {
			if late {
				<-request.Context().Done()
				canceled.Add(1)
				time.Sleep(time.Second)
				return reply(http.StatusOK, one), nil
			}
			return reply(http.StatusOK, strings.Replace(one, `"1"`, `"2"`, 1)), nil
		}}), nil)
		woken, stop := start(t, r)
		defer stop()
		wanted := []plan.Measurement{threshold("latency", "default", 0)}
		r.Want(reviews, wanted)
		time.Sleep(time.Second)
		r.Want(reviews, nil)
		synctest.Wait()
		if canceled.Load() != 1 {
			t.Error("the request was not canceled")
		}
		late = false
		r.Want(reviews, wanted)
		time.Sleep(time.Minute)
		if got := r.Results(reviews); len(got) != 1 || got[0].Value != "2" || woken.Load() != 1 {
			t.Errorf("results %+v, %d events", got, woken.Load())
		}
	})
}

// TestNotBefore checks that a measurement waits for its time, and a comparison until its interval has begun and can be queried.
func TestNotBefore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var asked []time.Duration
		began := time.Now()
		providers := withProviders(t, map[string]roundTripper{"default": func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(began))
			return reply(http.StatusOK, one), nil
		}})
		providers.byName["default"].config.Prometheus.Delay = ptr.To(model.Duration(20 * time.Second))
		r := NewRunner(providers, nil)
		_, stop := start(t, r)
		later, compare := threshold("later", "default", 0), threshold("compare", "default", 0)
		later.NotBefore = began.Add(2 * time.Hour)
		compare.NotBefore, compare.Threshold = began.Add(5*time.Second), nil
		compare.Compare = &plan.CompareRequest{Provider: "default", From: began.Add(10 * time.Second), Canary: plan.CounterPair{Total: "a", Part: "b"}, Stable: plan.CounterPair{Total: "c", Part: "d"}}
		r.Want(reviews, []plan.Measurement{later, compare})
		time.Sleep(3 * time.Hour)
		stop()
		if len(asked) != 2 || asked[0] < 30*time.Second || asked[0] > 31*time.Second || asked[1] < 2*time.Hour || asked[1] > 2*time.Hour+time.Second {
			t.Errorf("asked after %v, want 30s and 2h", asked)
		}
	})
}

// TestOneEvent checks that results that come at about the same time take one pass, and that a slow one does not hold the others.
func TestOneEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := NewRunner(withProviders(t, map[string]roundTripper{
			"a": answersAfter(100*time.Millisecond, one), "b": answersAfter(300*time.Millisecond, one), "slow": answersAfter(5*time.Second, one),
		}), nil)
		woken, stop := start(t, r)
		defer stop()
		due := threshold("due", "a", 0)
		due.NotBefore = time.Now().Add(400 * time.Millisecond)
		wanted := []plan.Measurement{threshold("a", "a", 0), threshold("b", "b", 0), due}
		r.Want(reviews, wanted)
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if woken.Load() != 0 {
			t.Error("a pass was woken while another result was to come")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if woken.Load() != 1 || len(r.Results(reviews)) != 3 {
			t.Errorf("%d events for %d results, want one as soon as all are there", woken.Load(), len(r.Results(reviews)))
		}
		time.Sleep(time.Minute)
		r.Want(reviews, []plan.Measurement{threshold("a", "a", 1), threshold("slow", "slow", 0)})
		time.Sleep(hold + 101*time.Millisecond)
		synctest.Wait()
		if woken.Load() != 2 || len(r.Results(reviews)) != 1 {
			t.Errorf("%d events for %d results: a slow measurement holds another one", woken.Load(), len(r.Results(reviews)))
		}
		time.Sleep(time.Minute)
		if woken.Load() != 3 {
			t.Errorf("%d events, want one for the slow measurement", woken.Load())
		}
	})
}

// TestDeadProvider checks that a provider that is down gets few requests, however many rollouts need it, that its measurements
// have a result at once, and that another provider is not delayed.
func TestDeadProvider(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var dead, alive atomic.Int64
		isBack := atomic.Bool{}
		r := NewRunner(withProviders(t, map[string]roundTripper{
			"dead": func(request *http.Request) (*http.Response, error) {
				dead.Add(1)
				if isBack.Load() {
					return reply(http.StatusOK, one), nil
				}
				<-request.Context().Done() // the worst case: it takes the whole timeout
				return nil, request.Context().Err()
			},
			"alive": func(*http.Request) (*http.Response, error) {
				alive.Add(1)
				return reply(http.StatusOK, one), nil
			},
		}), nil)
		_, stop := start(t, r)
		defer stop()
		const rollouts = 15
		want := func(number int32) {
			for i := range rollouts {
				rollout := types.NamespacedName{Namespace: "bookinfo", Name: fmt.Sprint("reviews", i)}
				r.Want(rollout, []plan.Measurement{threshold("a", "dead", number), threshold("b", "alive", number)})
			}
		}
		outcomes := func() map[plan.MeasurementOutcome]int {
			counted := map[plan.MeasurementOutcome]int{}
			for i := range rollouts {
				for _, result := range r.Results(types.NamespacedName{Namespace: "bookinfo", Name: fmt.Sprint("reviews", i)}) {
					counted[result.Outcome]++
					if problem := result.Problem; problem != nil && (problem.Reason != v1alpha1.ReasonProviderUnreachable || problem.Message != "the metric provider dead does not answer: no answer within 10s") {
						t.Errorf("problem %+v", problem)
					}
				}
			}
			return counted
		}
		for number := range int32(30) {
			want(number)
			time.Sleep(time.Second)
			if number == 0 && alive.Load() != rollouts {
				t.Errorf("the other provider was asked %d times within a second, want %d", alive.Load(), rollouts)
			}
			time.Sleep(10 * time.Second) // the timeout has passed before the next measurements
		}
		time.Sleep(5 * time.Second)
		if got := outcomes(); got[plan.OutcomeError] != rollouts || got[plan.OutcomeGood] != rollouts {
			t.Errorf("outcomes %v", got)
		}
		// At first, all workers ask. Then there is one trial at a time: it takes the timeout, and the back-off lasts beyond the next
		// measurements.
		if most := int64(workers + 15); dead.Load() > most {
			t.Errorf("a dead provider was asked %d times, want at most %d", dead.Load(), most)
		}
		isBack.Store(true)
		time.Sleep(10 * time.Second)
		before := dead.Load()
		for number := range int32(2) {
			want(100 + number)
			time.Sleep(10 * time.Second)
		}
		if got := outcomes(); got[plan.OutcomeGood] != 2*rollouts || dead.Load()-before < rollouts {
			t.Errorf("outcomes %v of the provider that is back, after %d requests", got, dead.Load()-before)
		}
	})
}

// TestRate checks the limits of one provider over all rollouts: its rate of requests, and how many are in flight.
func TestRate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var asked, inFlight, most atomic.Int64
		r := NewRunner(withProviders(t, map[string]roundTripper{"default": func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			most.Store(max(most.Load(), inFlight.Add(1)))
			time.Sleep(200 * time.Millisecond)
			inFlight.Add(-1)
			return reply(http.StatusOK, one), nil
		}}), nil)
		_, stop := start(t, r)
		for i := range 500 {
			r.Want(types.NamespacedName{Name: fmt.Sprint(i)}, []plan.Measurement{threshold("a", "default", 0)})
		}
		time.Sleep(10*time.Second - time.Millisecond)
		stop()
		if got := asked.Load(); got > 10*endpoint.DefaultRequestsPerSecond+endpoint.DefaultRequestsPerSecond || got < 9*endpoint.DefaultRequestsPerSecond || most.Load() > 4 {
			t.Errorf("%d requests in 10 seconds, %d at once", got, most.Load())
		}
	})
}

// TestNoProvider checks that a provider that does not exist, or is of another kind, is reported when the measurement is due: a
// result at once would be counted again in each pass.
func TestNoProvider(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := NewRunner(withProviders(t, map[string]roundTripper{"default": func(*http.Request) (*http.Response, error) {
			return nil, errors.New("must not be asked")
		}}), nil)
		_, stop := start(t, r)
		defer stop()
		web := plan.Measurement{ID: plan.MeasurementID{Metric: "web"}, Web: &plan.WebRequest{Provider: "default", Condition: "true"}}
		job := plan.Measurement{ID: plan.MeasurementID{Metric: "job"}, Job: &plan.JobRequest{}}
		wanted := []plan.Measurement{threshold("a", "other", 0), web, job}
		for i := range wanted {
			wanted[i].NotBefore = time.Now().Add(time.Minute)
		}
		r.Want(reviews, wanted)
		time.Sleep(59 * time.Second)
		if got := r.Results(reviews); got != nil {
			t.Errorf("results before the time: %+v", got)
		}
		time.Sleep(2 * time.Second)
		got := r.Results(reviews)
		for i, want := range []plan.Problem{
			{Reason: v1alpha1.ReasonProviderNotFound, Message: "there is no metric provider other"},
			{Reason: v1alpha1.ReasonProviderNotFound, Message: "the metric provider default is not a web provider"},
			{Reason: v1alpha1.ReasonJobsNotAllowed, Message: "the operator may not run Jobs"},
		} {
			if got[i].Outcome != plan.OutcomeError || got[i].Problem.Reason != want.Reason || !strings.HasPrefix(got[i].Problem.Message, want.Message) {
				t.Errorf("%+v, want %+v", got[i].Problem, want)
			}
		}
		wanted[2].ID.Number, wanted[2].NotBefore = 1, time.Now().Add(time.Minute)
		r.Want(reviews, wanted[2:])
		time.Sleep(59 * time.Second)
		if got := r.Results(reviews); got != nil {
			t.Errorf("an error that counts twice: %+v", got)
		}
	})
}

// TestStop checks that everything has ended when Start returns, also requests in flight, and that nothing begins afterwards.
func TestStop(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var inFlight atomic.Int64
		r := NewRunner(withProviders(t, map[string]roundTripper{"default": func(request *http.Request) (*http.Response, error) {
			inFlight.Add(1)
			defer inFlight.Add(-1)
			<-request.Context().Done()
			return nil, request.Context().Err()
		}}), nil)
		_, stop := start(t, r)
		r.Want(reviews, []plan.Measurement{threshold("a", "default", 0), threshold("b", "default", 0)})
		time.Sleep(time.Second)
		stop()
		if inFlight.Load() != 0 {
			t.Error("a request is in flight")
		}
		r.Want(reviews, []plan.Measurement{threshold("c", "default", 0)})
		time.Sleep(time.Second)
		if got := r.Results(reviews); got != nil {
			t.Errorf("results %+v", got)
		}
	})
}

// TestIdle checks that a rollout of which nothing is wanted costs nothing.
func TestIdle(t *testing.T) {
	r := NewRunner(Providers{}, nil)
	if got := testing.AllocsPerRun(100, func() {
		r.Want(reviews, nil)
		if r.Results(reviews) != nil {
			t.Error("there are results")
		}
	}); got != 0 {
		t.Errorf("%g allocations", got)
	}
	_, stop := start(t, r)
	stop()
}
