// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/controllers/forecast"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// verb is what a user wants to do.
type verb string

const (
	verbPromote verb = "promote"
	verbFull    verb = "full"
	verbAbort   verb = "abort"
	verbRetry   verb = "retry"
	verbPause   verb = "pause"
	verbResume  verb = "resume"
	verbImage   verb = "image"
	verbUndo    verb = "undo"
)

// offer is an action, and why it is refused at the moment.
type offer struct {
	Verb    verb   `json:"verb"`
	Refused string `json:"refused,omitempty"`
}

// offers returns the actions of a rollout. It tells what the status tells; each is checked again when it is chosen.
func offers(rollout *v1alpha1.CanaryRollout) []offer {
	target := ""
	if memory := rollout.Status.Memory; memory != nil {
		target = memory.Template.Revision
	}
	refused := func(key, value string) string { return plan.Refused(rollout, target, key, value) }
	abort := offer{verbAbort, refused(v1alpha1.AbortAnnotation, "true")}
	if rollout.Status.Memory != nil && rollout.Status.ObservedGeneration < rollout.Generation {
		abort.Refused = "" // the status is not about the current spec, and an abort is always safe
	}
	hold := offer{Verb: verbPause}
	if rollout.Spec.Paused {
		hold.Verb = verbResume
	}
	return []offer{
		{verbPromote, refused(v1alpha1.PromoteAnnotation, "true")},
		{verbFull, refused(v1alpha1.PromoteAnnotation, "full")},
		abort,
		{verbRetry, refused(v1alpha1.RetryAnnotation, "true")},
		hold, {Verb: verbImage}, {Verb: verbUndo},
	}
}

// request is an action that a user has chosen.
type request struct {
	Verb verb `json:"verb"`
	// Seen is where the rollout was on the page.
	Seen action.Seen `json:"seen"`
	// Reason is for an abort; empty if there is none.
	Reason string `json:"reason,omitempty"`
	// Images are the new images by container, for image.
	Images map[string]string `json:"images,omitempty"`
	// Revision is the revision to return to, for undo; empty for the former one.
	Revision string `json:"revision,omitempty"`
}

// maxRequest is how many bytes a request may have. Images and reasons are short.
const maxRequest = 64 << 10

// answer says what an action leads to, or led to.
type answer struct {
	// Next says what happens next, as part of a sentence.
	Next string `json:"next,omitempty"`
	// Forecast is how the release continues, if that can be calculated.
	Forecast *forecast.Forecast `json:"forecast,omitempty"`
	// Error says why nothing was or would be done.
	Error string `json:"error,omitempty"`
}

// preview answers what an action would do. It writes nothing.
func (s *Server) preview(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, func(_ context.Context, asked request, c action.Change) (answer, error) {
		will, err := s.forecast(asked, c)
		return answer{Next: c.Next, Forecast: will}, err
	})
}

// act carries out an action.
func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, func(ctx context.Context, _ request, c action.Change) (answer, error) {
		_, err := c.Write(ctx, s.Client)
		return answer{Next: c.Next}, err
	})
}

// answer reads a request and the rollout, and answers with what then returns for the change.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, then func(context.Context, request, action.Change) (answer, error)) {
	var asked request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		reply(w, http.StatusBadRequest, answer{Error: fmt.Sprintf("the request cannot be read: %v", err)})
		return
	}
	c, err := s.change(r.Context(), client.ObjectKey{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}, asked)
	if err != nil {
		reply(w, statusOf(err), answer{Error: err.Error()})
		return
	}
	result, err := then(r.Context(), asked, c)
	if err != nil {
		reply(w, statusOf(err), answer{Error: err.Error()})
		return
	}
	reply(w, http.StatusOK, result)
}

// statusOf returns the status for an error: that of the API server, or that the state of the rollout does not allow it.
func statusOf(err error) int {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) && status.Status().Code >= http.StatusBadRequest {
		return int(status.Status().Code)
	}
	return http.StatusConflict
}

func reply(w http.ResponseWriter, status int, content answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content) // the page has gone
}

// change reads the rollout from the API server, and returns what an action changes in it.
func (s *Server) change(ctx context.Context, key client.ObjectKey, asked request) (action.Change, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(action.Kind())
	if err := s.Client.Get(ctx, key, raw); err != nil {
		return action.Change{}, err
	}
	r, err := action.NewRollout(raw)
	if err != nil {
		return action.Change{}, err
	}
	if r.DeletionTimestamp != nil {
		return action.Change{}, fmt.Errorf("%s is being deleted and hands back its traffic", r.Name)
	}
	check := asked.Seen.CheckRelease
	if asked.Verb == verbPromote {
		check = asked.Seen.CheckStep
	} else if asked.Verb == verbAbort {
		check = asked.Seen.CheckAbort
	}
	if err := check(r); err != nil {
		return action.Change{}, err
	}
	return s.decide(ctx, r, asked)
}

func (s *Server) decide(ctx context.Context, r *action.Rollout, asked request) (action.Change, error) {
	flags := flagsOf(r.CanaryRollout)
	switch asked.Verb {
	case verbPromote, verbFull:
		return action.Promote(r, asked.Verb == verbFull, "", flags)
	case verbAbort:
		return action.Abort(r, asked.Reason, flags)
	case verbRetry:
		return action.Retry(r, flags)
	case verbPause:
		return action.Pause(r, flags)
	case verbResume:
		return action.Resume(r, flags)
	case verbImage:
		return action.SetImages(r, pairs(r, asked.Images), flags)
	case verbUndo:
		templates, err := action.Templates(ctx, s.Client, client.ObjectKeyFromObject(r))
		if err != nil {
			return action.Change{}, err
		}
		return action.Undo(r, templates, asked.Revision, flags)
	default:
		return action.Change{}, fmt.Errorf("%q is no action", asked.Verb)
	}
}

// pairs returns the images as CONTAINER=IMAGE, without those that a container has already. The order is that of the template, and
// then that of names, so that an error is always the same.
func pairs(r *action.Rollout, images map[string]string) []string {
	var changed []string
	for _, c := range action.Containers(r) {
		if image, given := images[c.Name]; given && image != c.Image {
			changed = append(changed, c.Name+"="+image)
		}
	}
	return changed
}

// forecast returns how the release continues after an action, from the same planner as kubectl canary plan; nil if there is nothing to
// tell but the next move.
func (s *Server) forecast(asked request, c action.Change) (*forecast.Forecast, error) {
	before := c.Rollout.CanaryRollout
	if before.Status.Memory == nil || asked.Verb == verbAbort && !c.Rollout.IsObserved() {
		return nil, nil
	}
	switch asked.Verb {
	case verbPromote, verbFull, verbAbort, verbRetry:
		will := forecast.Remaining(before, forecast.Options{Commands: commandsOf(asked)}, s.Now())
		if asked.Verb == verbAbort {
			will.Warnings = nil // they are about steps, and none follows
		}
		return &will, nil
	case verbResume:
		if !forecast.IsInFlight(before) {
			return nil, nil
		}
		will := forecast.Remaining(before, forecast.Options{}, s.Now())
		return &will, nil
	case verbImage:
		return newRelease(c)
	case verbUndo:
		if memory := before.Status.Memory; memory.Template.Revision != memory.StableRevision && (asked.Revision == "" || asked.Revision == memory.StableRevision) {
			return nil, nil // the release ends
		}
		return newRelease(c)
	default:
		return nil, nil
	}
}

// commandsOf returns the command as the operator gets it.
func commandsOf(asked request) plan.Commands {
	switch asked.Verb {
	case verbPromote:
		return plan.Commands{Promote: ptr.To("true")}
	case verbFull:
		return plan.Commands{Promote: ptr.To("full")}
	case verbAbort:
		return plan.Commands{Abort: ptr.To("true")}
	case verbRetry:
		return plan.Commands{Retry: ptr.To("true")}
	default:
		return plan.Commands{}
	}
}

// newRelease returns the release that a change of the template starts.
func newRelease(c action.Change) (*forecast.Forecast, error) {
	raw, err := c.Preview()
	if err != nil {
		return nil, err
	}
	after, err := action.NewRollout(raw)
	if err != nil {
		return nil, err
	}
	will := forecast.Release(after.CanaryRollout, forecast.Options{FirstDeploy: c.Rollout.Status.Memory.StableRevision == ""})
	return &will, nil
}
