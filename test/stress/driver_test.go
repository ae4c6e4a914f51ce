// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package stress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/fakegateway"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

// driver runs a script on an app, one step at a time: while the API server is unavailable, it sends it no requests.
type driver struct {
	*harness.App
	run
	t     *testing.T
	steps []script.Step
	// kill kills the running operator.
	kill func()
	// strict is the strict gateway of runs that use one, otherwise nil.
	strict *fakegateway.Gateway
	began  time.Time

	// done is what was done, and when.
	done []string
	// writes are those made as a GitOps tool.
	writes []rules.Write
	// killed is when pods were killed, and excuses what may be lost because of that.
	killed  []rules.Span
	excuses []harness.Excuse
	// late is when endpoints were not updated, and one second after.
	late []rules.Span
	// catchUp receives the time when late endpoints have caught up; nil if they are up to date.
	catchUp chan time.Time
}

// clock formats a time relative to the start of the run.
func (d *driver) clock(at time.Time) string { return fmt.Sprintf("%6.1fs", at.Sub(d.began).Seconds()) }

// pass waits for a duration.
func (d *driver) pass(duration time.Duration) {
	d.t.Helper()
	select {
	case <-time.After(duration):
	case <-d.t.Context().Done():
		d.t.Fatal(d.t.Context().Err())
	}
}

// play runs the script, each step at its time, or as soon as the earlier ones are done.
func (d *driver) play() {
	d.t.Helper()
	for _, step := range d.steps {
		d.pass(time.Until(d.began.Add(step.At)))
		d.done = append(d.done, fmt.Sprintf("%s %s, meant for %s", time.Now().Format("15:04:05.000"), d.clock(time.Now()), step))
		if note := d.do(step); note != "" {
			d.done[len(d.done)-1] += ": " + note
		}
	}
}

// do runs one step. It returns a note for the log, if any.
func (d *driver) do(step script.Step) (note string) {
	d.t.Helper()
	switch step.Op {
	case script.Promote:
		d.Annotate(v1alpha1.PromoteAnnotation, "true")
	case script.PromoteFull:
		d.Annotate(v1alpha1.PromoteAnnotation, "full")
	case script.Abort:
		d.Annotate(v1alpha1.AbortAnnotation, step.What)
	case script.Retry:
		d.Annotate(v1alpha1.RetryAnnotation, "true")
	case script.Image:
		d.SetImage(image(step.Number))
	case script.Revert:
		stable, _, _ := strings.Cut(d.Get().Status.Images, " -> ")
		d.SetImage(stable)
		return stable
	case script.Scale:
		d.Patch(fmt.Sprintf(`{"spec":{"replicas":%d}}`, step.Number))
	case script.EditRoute:
		d.CheckRoute()
		d.EditRoute(func(rules []any) { edit(rules[0].(map[string]any), step) })
	case script.ApplyRoute:
		return d.applyRoute(step.What)
	case script.ApplyServices:
		d.applyServices()
	case script.KillOperator:
		d.kill()
	case script.StopAPI:
		d.stopAPI(step.For)
	case script.LateEndpoints:
		d.delayEndpoints(step.For)
	case script.KillPod:
		return d.killPod(step)
	case script.EditTraffic:
		d.editTraffic(step.What == script.RouteIn)
	case script.EditSteps:
		d.editSteps(step.What == script.MirrorOff)
	case script.Autoscale:
		d.autoscale(int32(step.Number))
	case script.Recreate:
		d.recreate()
	default:
		d.t.Fatalf("unknown operation %s", step.Op)
	}
	return ""
}

func image(version int) string {
	return fmt.Sprintf("istio/examples-bookinfo-reviews-v%d:1.20.2", version)
}

// edit changes a part of the user's rule. The requests of the run match after any of these edits.
func edit(rule map[string]any, step script.Step) {
	switch step.What {
	case script.EditHeader:
		rule["filters"] = []any{map[string]any{
			"type": "RequestHeaderModifier",
			"requestHeaderModifier": map[string]any{"set": []any{
				map[string]any{"name": "x-team", "value": fmt.Sprintf("books-%d", step.Number)},
			}},
		}}
	case script.EditTimeout:
		_ = unstructured.SetNestedField(rule, fmt.Sprintf("%ds", 20+step.Number), "timeouts", "request")
	case script.EditMatch:
		rule["matches"] = []any{rule["matches"].([]any)[0], map[string]any{
			"path": map[string]any{"type": "PathPrefix", "value": fmt.Sprintf("/books-%d", step.Number)},
		}}
	}
}

// applyRoute acts as a GitOps tool that resets the route to its state in Git, with the weights at rest.
func (d *driver) applyRoute(manager string) (note string) {
	d.t.Helper()
	d.CheckRoute()
	before, git := d.Route().GetGeneration(), d.GitRoute(100, 0)
	from := time.Now()
	if manager == script.ForcedApply {
		d.Apply(manager, git)
	} else {
		d.Merge(manager, git, git.Object["spec"])
	}
	if d.Route().GetGeneration() == before {
		return "it was so already"
	}
	d.wrote(rules.Routes, git.GetName(), from)
	return ""
}

// applyServices acts as a GitOps tool that resets the Services to their state in Git, without the hash in their
// selectors.
func (d *driver) applyServices() {
	d.t.Helper()
	for _, name := range []string{"reviews-stable", "reviews-canary"} {
		from := time.Now()
		d.Apply(script.ForcedApply, d.GitService(name))
		d.wrote(rules.Services, name, from)
	}
}

func (d *driver) wrote(resource, name string, from time.Time) {
	d.writes = append(d.writes, rules.Write{Span: rules.Span{From: from, To: time.Now()}, Resource: resource, Name: name})
}
