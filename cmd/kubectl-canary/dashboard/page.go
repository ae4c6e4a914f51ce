// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/view"
)

// page is what the page of a rollout shows.
type page struct {
	view.Page
	Seen       action.Seen `json:"seen"`
	Offers     []offer     `json:"offers"`
	Containers []container `json:"containers"`
	Points     []point     `json:"points"`
	Samples    []sample    `json:"samples"`
	Events     []event     `json:"events"`
	// Problems say which parts are missing or out of date, and why.
	Problems []string `json:"problems,omitempty"`
	// Deleted is true if the rollout is gone, or was never there.
	Deleted bool `json:"deleted,omitempty"`
}

// event is an Event of a rollout.
type event struct {
	At      time.Time `json:"at"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	Count   int32     `json:"count"`
}

// maxEvents is how many Events a page shows.
const maxEvents = 50

// related are the watches for the page of one rollout. They last as long as its stream.
type related struct {
	uid                types.UID
	sets, pods, events *feed.Feed
	stop               context.CancelFunc
}

// follow returns the watches for a rollout: those that there are already, unless they are of another one, or none for no rollout.
func (s *Server) follow(ctx context.Context, rollout *v1alpha1.CanaryRollout, with *related, changed chan struct{}) (*related, error) {
	if with != nil {
		if rollout != nil && with.uid == rollout.UID {
			return with, nil
		}
		with.stop()
	}
	if rollout == nil {
		return nil, nil
	}
	podOptions, err := feed.PodsOf(rollout)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	start := func(kind client.ObjectList, options ...client.ListOption) *feed.Feed {
		f := feed.New(s.Client, kind, changed, slim, options...)
		go f.Run(ctx)
		return f
	}
	return &related{
		uid: rollout.UID, stop: stop,
		sets:   start(&appsv1.ReplicaSetList{}, feed.ReplicaSetsOf(client.ObjectKeyFromObject(rollout))...),
		pods:   start(&corev1.PodList{}, podOptions...),
		events: start(&corev1.EventList{}, client.InNamespace(rollout.Namespace), client.MatchingFields{"involvedObject.uid": string(rollout.UID)}),
	}, nil
}

// streamPage sends the page of a rollout whenever something on it has changed.
func (s *Server) streamPage(w http.ResponseWriter, r *http.Request) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	out, changed := newStream(w), s.rollouts.subscribe(r.Context())
	var with *related
	out.serve(r, changed, func() error {
		state := s.rollouts.state()
		if err := out.send("about", s.about(state.err)); err != nil || !state.isSynced {
			return err
		}
		rollout := state.find(namespace, name)
		var err error
		if with, err = s.follow(r.Context(), rollout, with, changed); err != nil {
			return err
		}
		if rollout == nil {
			return out.send("page", page{Page: view.Page{Item: view.Item{Namespace: namespace, Name: name}}, Deleted: true})
		}
		if shown, isComplete := s.page(rollout, with); isComplete {
			return out.send("page", shown)
		}
		return nil
	})
}

// page returns the page of a rollout. It is not complete until each list has succeeded or failed.
func (s *Server) page(rollout *v1alpha1.CanaryRollout, with *related) (shown page, isComplete bool) {
	sets, hasSets, setsErr := with.sets.State()
	pods, hasPods, podsErr := with.pods.State()
	events, hasEvents, eventsErr := with.events.State()
	if !hasSets && setsErr == nil || !hasPods && podsErr == nil || !hasEvents && eventsErr == nil {
		return page{}, false
	}
	of := view.Rollout{
		Object: rollout, ReplicaSets: feed.Typed[appsv1.ReplicaSet](sets), Pods: feed.Typed[corev1.Pod](pods), Flags: flagsOf(rollout),
	}
	shown = page{
		Page: of.Page(), Seen: action.NewSeen(rollout), Offers: []offer{}, Containers: containersOf(rollout),
		Events: recent(feed.Typed[corev1.Event](events)),
	}
	shown.Points, shown.Samples = s.rollouts.curve(rollout.UID)
	if !s.IsReadOnly {
		shown.Offers = offers(rollout)
	}
	for _, problem := range []struct {
		what string
		err  error
	}{{"ReplicaSets", setsErr}, {"pods", podsErr}, {"Events", eventsErr}} {
		if problem.err != nil {
			shown.Problems = append(shown.Problems, fmt.Sprintf("%s: %v", problem.what, problem.err))
		}
	}
	return shown, true
}

// containersOf returns all containers of the template, init containers last.
func containersOf(rollout *v1alpha1.CanaryRollout) []container {
	of := imagesOf(rollout).Spec
	return append(append([]container{}, of.Containers...), of.InitContainers...)
}

// recent returns the last Events, newest first.
func recent(events []corev1.Event) []event {
	shown := []event{}
	for i := range events {
		e := &events[i]
		at, count := lastSeen(e)
		shown = append(shown, event{At: at.UTC(), Type: e.Type, Reason: e.Reason, Message: e.Message, Count: max(count, 1)})
	}
	slices.SortFunc(shown, func(a, b event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
	return shown[:min(len(shown), maxEvents)]
}

// lastSeen returns when an Event last happened, and how often. Where that is depends on the library that wrote it.
func lastSeen(e *corev1.Event) (at time.Time, count int32) {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time, e.Series.Count
	}
	for _, candidate := range []metav1.Time{e.LastTimestamp, {Time: e.EventTime.Time}, e.CreationTimestamp} {
		if !candidate.IsZero() {
			return candidate.Time, e.Count
		}
	}
	return time.Time{}, e.Count
}
