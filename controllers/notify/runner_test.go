// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	"github.com/canaryrollout/canaryrollout/test/framework/bubble"
)

var reviews = Rollout{types.NamespacedName{Namespace: "bookinfo", Name: "reviews"}, "uid-1"}

// receiver answers as told, and keeps what it accepted. A status of 0 is no answer at all.
type receiver struct {
	mu       sync.Mutex
	answer   func(attempt int) int
	attempts []time.Time
	accepted []*http.Request
	bodies   []string
	inFlight map[string]int
	overlaps int
	latency  time.Duration
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	var event struct{ Source string }
	_ = json.Unmarshal(body, &event)
	r.mu.Lock()
	r.attempts = append(r.attempts, time.Now())
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(len(r.attempts))
	}
	if r.inFlight == nil {
		r.inFlight = map[string]int{}
	}
	if r.inFlight[event.Source]++; r.inFlight[event.Source] > 1 {
		r.overlaps++
	}
	r.mu.Unlock()
	select {
	case <-time.After(r.latency):
	case <-request.Context().Done():
		status = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight[event.Source]--
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	if status < 300 {
		r.accepted, r.bodies = append(r.accepted, request), append(r.bodies, string(body))
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}, nil
}

// ids returns the ids of the CloudEvents that were accepted.
func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		var event cloudEvent
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			panic(err)
		}
		all = append(all, event.ID)
	}
	return all
}

// newRunner returns a runner with sinks in YAML, and receivers in place of their hosts.
func newRunner(t *testing.T, sinks string, receivers map[string]*receiver) *Runner {
	t.Helper()
	parsed, err := parseSinks([]byte(sinks), directory(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, receiver := range receivers {
		parsed.byName[name].Client = &http.Client{Transport: receiver}
	}
	return NewRunner(parsed)
}

const audit = "- {name: audit, cloudEvents: {url: 'http://audit/releases'}}\n"

// start runs a Runner until the returned function is called, and counts how often rollouts are woken.
func start(t *testing.T, r *Runner) (woken func() int, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var mu sync.Mutex
	count := 0
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
				mu.Lock()
				count++
				mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return count }, sync.OnceFunc(func() { cancel(); group.Wait() })
}

// to returns a delivery of the transitions from one number to another.
func to(sink string, from, until int64) plan.Delivery {
	delivery := plan.Delivery{Sink: sink}
	for sequence := from; sequence <= until; sequence++ {
		delivery.Transitions = append(delivery.Transitions, v1alpha1.TransitionMemory{
			Sequence: sequence, Type: v1alpha1.TransitionPaused, At: &metav1.MicroTime{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)},
			Generation: 7, Revision: "b", StableRevision: "a", Images: "reviews:<b>", Step: "2/3", By: "jane",
			Weight: &v1alpha1.RevisionWeight{Verified: 40, Desired: 50}, Message: "paused & waiting",
		})
	}
	return delivery
}

func numbers(from, until int) []string {
	var all []string
	for i := from; i <= until; i++ {
		all = append(all, fmt.Sprintf("uid-1/%d", i))
	}
	return all
}

// TestOrder: a sink that fails at random gets everything, in order, with one request at a time for a rollout, and a burst takes few
// passes.
func TestOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{latency: 10 * time.Millisecond, answer: func(attempt int) int {
			return []int{204, 503, 204, 0, 404, 204, 301}[attempt%7]
		}}
		r := newRunner(t, audit, map[string]*receiver{"audit": sink})
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 3)}) // before the start, it waits
		woken, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 20)})
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 20)})
		time.Sleep(30 * time.Minute)
		if got := sink.ids(); !slices.Equal(got, numbers(1, 20)) || sink.overlaps > 0 {
			t.Errorf("accepted %v, %d at once", got, sink.overlaps)
		}
		if got := r.Delivered(reviews.NamespacedName); len(got) != 1 || got[0] != (plan.Delivered{Sink: "audit", Sequence: 20}) {
			t.Errorf("delivered %+v", got)
		}
		if woken() == 0 || woken() > 20 {
			t.Errorf("woken %d times", woken())
		}
		r.Deliver(reviews, []plan.Delivery{to("audit", 15, 21)}) // a memory that is behind
		time.Sleep(time.Hour)
		if got := sink.ids(); !slices.Equal(got, numbers(1, 21)) {
			t.Errorf("accepted %v", got)
		}
		r.Deliver(reviews, nil)
		if got := r.Delivered(reviews.NamespacedName); got != nil || len(r.rollouts) > 0 {
			t.Errorf("delivered %+v", got)
		}
	})
}

// TestBurst: a burst that is accepted takes one pass.
func TestBurst(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{latency: time.Millisecond}
		r := newRunner(t, audit, map[string]*receiver{"audit": sink})
		woken, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 10)})
		time.Sleep(time.Minute)
		if woken() != 1 || len(sink.ids()) != 10 {
			t.Errorf("woken %d times for %v", woken(), sink.ids())
		}
	})
}

// TestBackOff: the time between attempts grows up to a minute, the metric shows the outage, and other sinks and rollouts are not late.
func TestBackOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var isUp atomic.Bool
		down := &receiver{answer: func(int) int {
			if isUp.Load() {
				return http.StatusOK
			}
			return http.StatusBadGateway
		}}
		up := &receiver{}
		r := newRunner(t, audit+"- {name: other, cloudEvents: {url: 'http://other'}}\n", map[string]*receiver{"audit": down, "other": up})
		_, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 2), to("other", 1, 2)})
		time.Sleep(100 * time.Millisecond)
		if len(up.ids()) != 2 {
			t.Errorf("the other sink has %v", up.ids())
		}
		time.Sleep(time.Hour)
		if got := value(t, "canaryrollout_notification_sink_up", "audit"); got != 0 {
			t.Errorf("the sink is up: %g", got)
		}
		down.mu.Lock()
		attempts := slices.Clone(down.attempts)
		down.mu.Unlock()
		if n := len(attempts); n < 60 || n > 140 {
			t.Errorf("%d attempts in an hour", n)
		}
		for i := 10; i < len(attempts); i++ {
			if gap := attempts[i].Sub(attempts[i-1]); gap < 30*time.Second || gap > time.Minute {
				t.Errorf("attempt %d came %s after the one before", i, gap)
			}
		}
		isUp.Store(true)
		time.Sleep(2 * time.Minute)
		if got := down.ids(); !slices.Equal(got, numbers(1, 2)) {
			t.Errorf("accepted %v", got)
		}
		if got := value(t, "canaryrollout_notification_sink_up", "audit"); got != 1 {
			t.Errorf("the sink is up: %g", got)
		}
	})
}

// value returns the value of a gauge of a sink.
func value(t *testing.T, name, sink string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			if family.GetName() == name && series.GetLabel()[0].GetValue() == sink {
				return series.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, sink)
	return 0
}

// TestRestart: a runner that ends in the middle, also of a request, loses nothing, and what another one sends again has the same id.
func TestRestart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{latency: 100 * time.Millisecond}
		for range 3 {
			r := newRunner(t, audit, map[string]*receiver{"audit": sink})
			_, stop := start(t, r)
			r.Deliver(reviews, []plan.Delivery{to("audit", 1, 4)})
			time.Sleep(250 * time.Millisecond)
			stop()
		}
		if got := sink.ids(); !slices.Equal(got, []string{"uid-1/1", "uid-1/2", "uid-1/1", "uid-1/2", "uid-1/1", "uid-1/2"}) {
			t.Errorf("accepted %v", got)
		}
	})
}

// TestForget: what is for a rollout that no longer exists is canceled, and another rollout of its name starts afresh.
func TestForget(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{latency: time.Second}
		r := newRunner(t, audit, map[string]*receiver{"audit": sink})
		_, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 2)})
		time.Sleep(1500 * time.Millisecond)
		again := Rollout{reviews.NamespacedName, "uid-2"}
		r.Deliver(again, []plan.Delivery{to("audit", 1, 1)})
		time.Sleep(time.Minute)
		if got := sink.ids(); !slices.Equal(got, []string{"uid-1/1", "uid-2/1"}) {
			t.Errorf("accepted %v", got)
		}
		r.Deliver(again, []plan.Delivery{to("audit", 2, 2)})
		time.Sleep(500 * time.Millisecond)
		r.Forget(reviews.NamespacedName)
		time.Sleep(time.Minute)
		if got := sink.ids(); len(got) != 2 || len(r.rollouts) > 0 {
			t.Errorf("accepted %v", got)
		}
		if got := value(t, "canaryrollout_notification_sink_up", "audit"); got != 1 {
			t.Errorf("the sink is up: %g", got)
		}
	})
}

// TestPayload checks what a receiver of CloudEvents gets, and that the signature can be verified.
func TestPayload(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{}
		r := newRunner(t, strings.Replace(audit, "}}", "}, signingKeyFile: key}", 1), map[string]*receiver{"audit": sink})
		_, stop := start(t, r)
		defer stop()
		delivery := to("audit", 3, 3)
		delivery.Dropped = 2
		r.Deliver(reviews, []plan.Delivery{delivery})
		time.Sleep(time.Second)
		synctest.Wait()
		want := `{"specversion":"1.0","id":"uid-1/3","source":"/apis/canaryrollout.dev/v1alpha1/namespaces/bookinfo/canaryrollouts/reviews",` +
			`"subject":"b","type":"dev.canaryrollout.release.paused","time":"2026-01-02T03:04:05.000006Z","datacontenttype":"application/json",` +
			`"data":{"sequence":3,"dropped":2,"transition":"Paused","namespace":"bookinfo","name":"reviews","uid":"uid-1","generation":7,"revision":"b",` +
			`"stableRevision":"a","images":"reviews:\u003cb\u003e","step":"2/3","weight":{"verified":40,"desired":50},"by":"jane","message":"paused \u0026 waiting",` +
			`"commands":[{"action":"promote","command":"kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/promote=b/2"},` +
			`{"action":"promoteFull","command":"kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/promote=b/full"},` +
			`{"action":"abort","command":"kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/abort=true"}]}}`
		if len(sink.bodies) != 1 || sink.bodies[0] != want {
			t.Fatalf("the body is\n%s, want\n%s", sink.bodies, want)
		}
		request := sink.accepted[0]
		mac := hmac.New(sha256.New, []byte(testKey))
		mac.Write([]byte(request.Header.Get("X-CanaryRollout-Timestamp") + "." + want))
		if got := request.Header.Get("X-CanaryRollout-Signature"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("the signature is %s", got)
		}
		if request.Method != http.MethodPost || request.URL.String() != "http://audit/releases" ||
			request.Header.Get("Content-Type") != "application/cloudevents+json" || request.Header.Get("X-CanaryRollout-Timestamp") != fmt.Sprint(time.Now().Unix()-1) {
			t.Errorf("%s %s %v", request.Method, request.URL, request.Header)
		}
	})
}

// TestSignedWhenSent: a request that has waited for the limit of its sink is signed with the time at which it is sent. Receivers reject an
// old signature.
func TestSignedWhenSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{}
		r := newRunner(t, strings.Replace(audit, "}}", "}, signingKeyFile: key}", 1), map[string]*receiver{"audit": sink})
		r.sinks["audit"].Requests = rate.NewLimiter(rate.Every(10*time.Minute), 1)
		_, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("audit", 1, 2)})
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(sink.accepted) != 2 || sink.attempts[1].Sub(sink.attempts[0]) < 9*time.Minute {
			t.Fatalf("sent at %v", sink.attempts)
		}
		for i, request := range sink.accepted {
			if got, want := request.Header.Get(TimestampHeader), fmt.Sprint(sink.attempts[i].Unix()); got != want {
				t.Errorf("request %d has the timestamp %s, and was sent at %s", i, got, want)
			}
		}
	})
}

// TestSlack checks what a webhook of Slack gets: texts of others cannot use its markup.
func TestSlack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		sink := &receiver{}
		r := newRunner(t, "- {name: chat, slack: {urlFile: url}}", map[string]*receiver{"chat": sink})
		_, stop := start(t, r)
		defer stop()
		r.Deliver(reviews, []plan.Delivery{to("chat", 3, 3)})
		time.Sleep(time.Second)
		synctest.Wait()
		if len(sink.bodies) != 1 {
			t.Fatalf("%d messages", len(sink.bodies))
		}
		var message slackMessage
		if err := json.Unmarshal([]byte(sink.bodies[0]), &message); err != nil {
			t.Fatal(err)
		}
		want := "*bookinfo/reviews* paused (#3): paused &amp; waiting\nrevision b, reviews:&lt;b&gt;, step 2/3, weight 40 % of 50 %, by jane\n" +
			"promote: `kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/promote=b/2`\n" +
			"promoteFull: `kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/promote=b/full`\n" +
			"abort: `kubectl -n bookinfo annotate canaryrollout reviews canaryrollout.dev/abort=true`"
		request := sink.accepted[0]
		if message.Text != want || request.Header.Get("Content-Type") != "application/json" || request.URL.RawQuery != "token=s3cr3t" ||
			request.Header.Get(SignatureHeader) != "" {
			t.Errorf("sent\n%s\nto %s with %v", message.Text, request.URL, request.Header)
		}
	})
}
