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
	"github.com/canaryrollout/canaryrollout/test/app"
	"github.com/canaryrollout/canaryrollout/test/gateway"
	"github.com/canaryrollout/canaryrollout/test/stress/rules"
	"github.com/canaryrollout/canaryrollout/test/stress/script"
)

// driver does a script to an app, one step after the other: while the API server is away it asks nothing of it.
type driver struct {
	*app.App
	run
	t     *testing.T
	steps []script.Step
	// kill ends the operator that runs.
	kill func()
	// strict is the gateway of runs that go through one; nil else.
	strict *gateway.Gateway
	began  time.Time

	// done is what was done, and when that was.
	done []string
	// writes are those in the place of GitOps tools.
	writes []rules.Write
	// killed is when pods were taken away, and excuses what may be lost by that.
	killed  []rules.Span
	excuses []app.Excuse
	// late is when endpoints stood still, and for a second after.
	late []rules.Span
	// catchUp tells when endpoints that are late have caught up; nil when they have.
	catchUp chan time.Time
}

// clock is a time of the run.
func (d *driver) clock(at time.Time) string { return fmt.Sprintf("%6.1fs", at.Sub(d.began).Seconds()) }

// pass lets time go by.
func (d *driver) pass(duration time.Duration) {
	d.t.Helper()
	select {
	case <-time.After(duration):
	case <-d.t.Context().Done():
		d.t.Fatal(d.t.Context().Err())
	}
}

// play does the script, each step at its time, or as soon as those before it are done.
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

// do is one step. It says what is worth a note about it.
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
		d.t.Fatalf("nobody knows how to %s", step.Op)
	}
	return ""
}

func image(version int) string {
	return fmt.Sprintf("istio/examples-bookinfo-reviews-v%d:1.20.2", version)
}

// edit changes a part of the user's rule. Whatever it is, the requests of the run still match.
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

// applyRoute is a GitOps tool that brings the route to what stands in Git, with the weights that are true at rest.
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

// applyServices is a GitOps tool that brings the Services to what stands in Git, which has no hash in their selectors.
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
