// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
)

func TestFiles(t *testing.T) {
	b := newBench(t, Options{}, interceptor.Funcs{})
	for path, want := range map[string]string{"/": `<script type="module"`, "/page.js": "", "/index.css": "", "/icon.svg": "<svg"} {
		if status, content := b.get(b.url+path, nil); status != http.StatusOK || !strings.Contains(content, want) {
			t.Errorf("%s: status %d", path, status)
		}
	}
}

// TestPageNeedsNothingElse checks that the page works offline.
func TestPageNeedsNothingElse(t *testing.T) {
	for _, name := range []string{"dist/index.html", "dist/index.css"} {
		content, err := dist.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(https?:)?//[\w.]+`).FindString(string(content)); found != "" {
			t.Errorf("%s refers to %s", name, found)
		}
	}
}

func TestList(t *testing.T) {
	b := newBench(t, Options{Notice: "only shop"}, interceptor.Funcs{}, paused(t))
	next := b.events("/api/rollouts")
	var about about
	if next("about", &about); about.Notice != "only shop" || about.Problem != "" {
		t.Errorf("about is %+v", about)
	}
	var list listEvent
	next("list", &list)
	if len(list.Items) != 1 || list.Items[0].State != "Paused" || list.Items[0].Weight.Verified != 10 ||
		list.Items[0].Message != "paused until promoted: kubectl canary promote reviews -n shop" {
		t.Fatalf("list is %+v", list)
	}
	second := paused(t, func(r *v1alpha1.CanaryRollout) { r.Name, r.UID, r.Status.State = "details", "8", v1alpha1.StateHealthy })
	if err := b.client.Create(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if next("list", &list); len(list.Items) != 1 || list.Items[0].Name != "details" {
		t.Errorf("only what is new should be sent, not %+v", list)
	}
	if err := b.client.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	list = listEvent{}
	if next("list", &list); len(list.Items) != 0 || len(list.Gone) != 1 || list.Gone[0] != "shop/details" {
		t.Errorf("only what is gone should be sent, not %+v", list)
	}
}

func TestPage(t *testing.T) {
	seen := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "e1"},
		InvolvedObject: corev1.ObjectReference{UID: "7"}, Type: "Normal", Reason: "Paused", Message: "paused", LastTimestamp: metav1.NewTime(now), Count: 2,
	}
	other := seen.DeepCopy()
	other.Name, other.InvolvedObject.UID, other.Reason = "e2", "8", "Other"
	b := newBench(t, Options{}, interceptor.Funcs{}, paused(t), seen, other)
	next := b.events("/api/rollouts/shop/reviews")
	var shown page
	next("page", &shown)
	if shown.CurrentStep != 1 || len(shown.Steps) != 3 || !shown.Steps[1].UntilPromoted || shown.Seen.Step != 1 {
		t.Errorf("the steps are %+v, current %d", shown.Steps, shown.CurrentStep)
	}
	if len(shown.Events) != 1 || shown.Events[0].Reason != "Paused" || shown.Events[0].Count != 2 {
		t.Errorf("the Events are %+v", shown.Events)
	}
	if len(shown.Containers) != 1 || shown.Containers[0].Image != "reviews:2" {
		t.Errorf("the containers are %+v", shown.Containers)
	}
	if len(shown.Points) != 1 || shown.Points[0].Verified != 10 {
		t.Errorf("the points are %+v", shown.Points)
	}
	refused := map[verb]bool{}
	for _, offer := range shown.Offers {
		refused[offer.Verb] = offer.Refused != ""
	}
	if refused[verbPromote] || refused[verbAbort] || !refused[verbRetry] {
		t.Errorf("the offers are %+v", shown.Offers)
	}
	changed := b.stored()
	changed.Status.RevisionWeight.Verified, changed.Status.Traffic.VerifiedWeight = 50, 50
	if err := b.client.Status().Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if next("page", &shown); shown.Weight.Verified != 50 || len(shown.Points) != 2 {
		t.Errorf("after a change: weight %+v, points %+v", shown.Weight, shown.Points)
	}
	if err := b.client.Delete(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	if next("page", &shown); !shown.Deleted {
		t.Error("a deleted rollout is still shown")
	}
}

// TestLost checks that a page says so while the API server does not answer, still shows what it had, and recovers.
func TestLost(t *testing.T) {
	var isDown atomic.Bool
	isDown.Store(true)
	funcs := interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		if isDown.Load() {
			return errors.New("connection refused")
		}
		return c.List(ctx, list, options...)
	}}
	b := newBench(t, Options{}, funcs, paused(t))
	next := b.events("/api/rollouts")
	var about about
	for about.Problem == "" {
		next("about", &about)
	}
	if about.Problem != "connection refused" {
		t.Errorf("the problem is %q", about.Problem)
	}
	isDown.Store(false)
	for about.Problem != "" {
		about.Problem = ""
		next("about", &about)
	}
	var list listEvent
	if next("list", &list); len(list.Items) != 1 {
		t.Errorf("the list is %+v", list)
	}
}

func (b *bench) ask(kind string, asked request) (status int, a answer) {
	b.t.Helper()
	status, _, content := b.do(http.MethodPost, b.url+"/api/rollouts/shop/reviews/"+kind, asked, nil)
	if err := json.Unmarshal([]byte(content), &a); err != nil {
		b.t.Fatalf("%v: %s", err, content)
	}
	return status, a
}

func TestActions(t *testing.T) {
	seen := action.Seen{UID: "7", Template: canaryRevision, Revision: canaryRevision, Step: 1, Phase: v1alpha1.PhaseStepping}
	for name, test := range map[string]struct {
		asked    request
		next     string
		stage    forecast.Name // the first one
		key, set string
	}{
		"promote": {request{Verb: verbPromote}, "setWeight 50", forecast.NameStep, v1alpha1.PromoteAnnotation, canaryRevision + "/2"},
		"full": {
			request{Verb: verbFull}, "it gets 100 % of the traffic, and then replaces " + stableRevision, forecast.NamePods,
			v1alpha1.PromoteAnnotation, canaryRevision + "/full",
		},
		"abort": {
			request{Verb: verbAbort, Reason: "too many errors"}, "all traffic returns to revision " + stableRevision, forecast.NameReturnTraffic,
			v1alpha1.AbortAnnotation, "too many errors",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{}, interceptor.Funcs{}, paused(t))
			test.asked.Seen = seen
			status, will := b.ask("preview", test.asked)
			if status != http.StatusOK || will.Next != test.next || will.Forecast == nil {
				t.Fatalf("preview: status %d, %+v", status, will)
			}
			if len(will.Forecast.Stages) == 0 || will.Forecast.Stages[0].Name != test.stage || will.Forecast.Promotions != 0 {
				t.Errorf("the forecast should begin with %s, and need no more promotion: %+v", test.stage, will.Forecast)
			}
			if got := b.stored().Annotations; len(got) > 0 {
				t.Fatalf("a preview wrote %v", got)
			}
			if status, did := b.ask("act", test.asked); status != http.StatusOK || did.Error != "" {
				t.Errorf("status %d, %+v", status, did)
			}
			if got := b.stored().Annotations[test.key]; got != test.set {
				t.Errorf("%s is %q, not %q", test.key, got, test.set)
			}
		})
	}
}

// TestMovedOn checks that an action applies to what the user saw, or not at all.
func TestMovedOn(t *testing.T) {
	seen := action.Seen{UID: "7", Template: canaryRevision, Revision: canaryRevision, Step: 1, Phase: v1alpha1.PhaseStepping}
	change := func(change func(*action.Seen)) action.Seen {
		other := seen
		change(&other)
		return other
	}
	earlier := change(func(s *action.Seen) { s.Step = 0 })
	for name, test := range map[string]struct {
		asked request
		want  string
	}{
		"promote at another step":   {request{Verb: verbPromote, Seen: earlier}, "moved on"},
		"full at another step":      {request{Verb: verbFull, Seen: earlier}, ""},
		"abort at another step":     {request{Verb: verbAbort, Seen: earlier}, ""},
		"abort of another revision": {request{Verb: verbAbort, Seen: change(func(s *action.Seen) { s.Revision = "other" })}, "moved on"},
		"abort of another template": {request{Verb: verbAbort, Seen: change(func(s *action.Seen) { s.Template = "other" })}, "template of reviews has changed"},
		"pause of another rollout":  {request{Verb: verbPause, Seen: change(func(s *action.Seen) { s.UID = "8" })}, "created again"},
		"retry without an abort":    {request{Verb: verbRetry, Seen: seen}, "was not retried"},
		"image of another template": {request{Verb: verbImage, Seen: change(func(s *action.Seen) { s.Template = "" }), Images: map[string]string{"app": "x"}}, "has changed"},
		"the image that it has":     {request{Verb: verbImage, Seen: seen, Images: map[string]string{"app": "reviews:2"}}, "has these images already"},
		"undo to an unknown one":    {request{Verb: verbUndo, Seen: seen, Revision: "gone"}, "has no ReplicaSet any more"},
		"something else":            {request{Verb: "explode", Seen: seen}, "is no action"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Options{}, interceptor.Funcs{}, paused(t))
			status, did := b.ask("act", test.asked)
			if test.want == "" {
				if status != http.StatusOK {
					t.Errorf("status %d, %+v", status, did)
				}
				return
			}
			if status != http.StatusConflict || !strings.Contains(did.Error, test.want) {
				t.Errorf("status %d, %+v", status, did)
			}
			if got := b.stored(); len(got.Annotations) > 0 || got.Spec.Paused {
				t.Errorf("something was written: %+v", got.Annotations)
			}
		})
	}
}

// TestNotProcessed checks that a template that the operator does not know yet is not called a change that the user has missed, and
// that an abort is possible all the same: the operator may be down.
func TestNotProcessed(t *testing.T) {
	b := newBench(t, Options{}, interceptor.Funcs{}, paused(t, func(r *v1alpha1.CanaryRollout) { r.Status.Memory.Phase = v1alpha1.PhaseIdle }))
	changed := b.stored()
	changed.Generation++
	changed.Spec.Template.Raw = []byte(`{"spec":{"containers":[{"name":"app","image":"reviews:3"}]}}`)
	if err := b.client.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	seen := action.NewSeen(changed)
	for _, verb := range []verb{verbFull, verbRetry, verbPause, verbImage} {
		status, did := b.ask("act", request{Verb: verb, Seen: seen})
		if status != http.StatusConflict || !strings.Contains(did.Error, "has not processed the last change") {
			t.Errorf("%s: status %d, %+v", verb, status, did)
		}
	}
	other := seen
	other.Revision = "other"
	if status, did := b.ask("act", request{Verb: verbAbort, Seen: other}); status != http.StatusConflict || !strings.Contains(did.Error, "moved on") {
		t.Errorf("abort of another revision: status %d, %+v", status, did)
	}
	var shown page
	if b.events("/api/rollouts/shop/reviews")("page", &shown); shown.Offers[2].Verb != verbAbort || shown.Offers[2].Refused != "" {
		t.Errorf("the offers are %+v", shown.Offers)
	}
	asked := request{Verb: verbAbort, Reason: "too many errors", Seen: seen}
	if status, will := b.ask("preview", asked); status != http.StatusOK || will.Next != "all traffic returns to revision "+stableRevision {
		t.Errorf("preview: status %d, %+v", status, will)
	}
	if status, did := b.ask("act", asked); status != http.StatusOK || b.stored().Annotations[v1alpha1.AbortAnnotation] != "too many errors" {
		t.Errorf("abort: status %d, %+v", status, did)
	}
}

func TestSetImageAndPause(t *testing.T) {
	seen := action.Seen{UID: "7", Template: canaryRevision, Revision: canaryRevision, Step: 1, Phase: v1alpha1.PhaseStepping}
	b := newBench(t, Options{}, interceptor.Funcs{}, paused(t))
	if status, did := b.ask("act", request{Verb: verbPause, Seen: seen}); status != http.StatusOK || !b.stored().Spec.Paused {
		t.Errorf("pause: status %d, %+v", status, did)
	}
	asked := request{Verb: verbImage, Seen: seen, Images: map[string]string{"app": "reviews:3"}}
	if status, will := b.ask("preview", asked); status != http.StatusOK || will.Forecast == nil {
		t.Errorf("preview: status %d, %+v", status, will)
	}
	if status, did := b.ask("act", asked); status != http.StatusOK || !strings.Contains(string(b.stored().Spec.Template.Raw), `"reviews:3"`) {
		t.Errorf("image: status %d, %+v", status, did)
	}
	if !strings.Contains(string(b.stored().Spec.Template.Raw), "--secret") {
		t.Error("the rest of the template was not kept")
	}
}

func TestReadOnly(t *testing.T) {
	b := newBench(t, Options{IsReadOnly: true}, interceptor.Funcs{}, paused(t))
	if status, _, _ := b.do(http.MethodPost, b.url+"/api/rollouts/shop/reviews/act", request{Verb: verbAbort}, nil); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
		t.Errorf("status %d", status)
	}
	var shown page
	if b.events("/api/rollouts/shop/reviews")("page", &shown); len(shown.Offers) != 0 {
		t.Errorf("the offers are %+v", shown.Offers)
	}
}

func TestCurve(t *testing.T) {
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	with := func(desired, verified int32) *v1alpha1.CanaryRollout {
		return paused(t, func(r *v1alpha1.CanaryRollout) {
			r.Status.Traffic = &v1alpha1.TrafficStatus{DesiredWeight: desired, VerifiedWeight: verified}
			r.Status.History = []v1alpha1.HistoryEntry{{Revision: canaryRevision, StartedAt: ptr.To(metav1.NewTime(at(-60)))}}
			r.Status.Memory.Traffic.VerifiedAt = ptr.To(metav1.NewMicroTime(at(-20)))
		})
	}
	c := &curve{}
	c.add(with(10, 10), at(0))
	c.add(with(10, 10), at(1))
	c.add(with(50, 10), at(2))
	c.add(with(50, 50), at(5))
	want := []point{
		{at(-60), canaryRevision, 0, 0}, {at(-20), canaryRevision, 10, 10}, {at(2), canaryRevision, 50, 10}, {at(5), canaryRevision, 50, 50},
	}
	got := c.points
	if len(got) != len(want) {
		t.Fatalf("the points are %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("point %d is %+v, not %+v", i, got[i], want[i])
		}
	}
	for i := range 3 * maxPoints {
		c.add(with(int32(i%2), 0), at(10+i))
	}
	if got := len(c.points); got != maxPoints {
		t.Errorf("%d points are kept", got)
	}
}

// TestSamples checks the share that the canary got of the requests that were counted between two looks.
func TestSamples(t *testing.T) {
	with := func(seconds int, canary, stable float64) *v1alpha1.CanaryRollout {
		return paused(t, func(r *v1alpha1.CanaryRollout) {
			r.Status.Memory.Analysis.Background = []v1alpha1.MetricMemory{{Name: "p95"}, {
				Name: "errors", CountedUntil: ptr.To(metav1.NewMicroTime(now.Add(time.Duration(seconds) * time.Second))),
				Evidence: analysis.Evidence{Counts: analysis.Counts{CanaryTotal: canary, StableTotal: stable}}.Encode(),
			}}
		})
	}
	c := &curve{}
	c.add(with(0, 500, 500), now) // before the first look, at whatever weights
	c.add(with(10, 510, 590), now)
	c.add(with(10, 510, 590), now) // the same again
	c.add(with(20, 515, 600), now)
	want := []sample{
		{At: now.Add(10 * time.Second), Metric: "errors", Percent: 10, Requests: 100},
		{At: now.Add(20 * time.Second), Metric: "errors", Percent: 33.3, Requests: 15},
	}
	if diff := cmp.Diff(want, c.samples); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
	fresh := &curve{}
	fresh.add(paused(t), now)
	fresh.add(with(10, 10, 90), now)
	if len(fresh.samples) != 1 || fresh.samples[0].Percent != 10 {
		t.Errorf("what a metric counts after the first look is shown, not %+v", fresh.samples)
	}
}

func TestSlim(t *testing.T) {
	r := paused(t)
	slim(r)
	if got := string(r.Spec.Template.Raw); got != `{"spec":{"containers":[{"name":"app","image":"reviews:2"}]}}` {
		t.Errorf("the template is %s", got)
	}
}
