// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
)

// shownPage is the part of a dashboard's page that the tests look at.
type shownPage struct {
	State     string                  `json:"state"`
	Step      string                  `json:"step"`
	Weight    v1alpha1.RevisionWeight `json:"weight"`
	Seen      json.RawMessage         `json:"seen"`
	Revisions []shownRevision         `json:"revisions"`
	Points    []struct {
		Verified int32 `json:"verified"`
	} `json:"points"`
	Events   []json.RawMessage       `json:"events"`
	History  []v1alpha1.HistoryEntry `json:"history"`
	Problems []string                `json:"problems"`
}

type shownRevision struct {
	Role string            `json:"role"`
	Pods []json.RawMessage `json:"pods"`
}

// dashboard is a running dashboard, and a browser that has opened it.
type dashboard struct {
	plugin
	url, cookie string
	events      *bufio.Scanner
	// last is the page as last received.
	last shownPage
}

// openDashboard starts the plugin and opens the page of the app's rollout.
func openDashboard(p plugin) *dashboard {
	p.t.Helper()
	command := p.command(p.t.Context(), "dashboard")
	out, err := command.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = command.Wait() }) // it was killed
	lines := bufio.NewScanner(out)
	first := ""
	for first == "" && lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			first = line
		}
	}
	d := &dashboard{plugin: p}
	response := d.request(http.MethodGet, first, nil)
	_ = response.Body.Close()
	d.url, _, _ = strings.Cut(first, "/?")
	d.cookie, _, _ = strings.Cut(response.Header.Get("Set-Cookie"), ";")
	stream := d.request(http.MethodGet, d.path(""), nil)
	p.t.Cleanup(func() { _ = stream.Body.Close() })
	d.events = bufio.NewScanner(stream.Body)
	d.events.Buffer(nil, 1<<20)
	return d
}

func (d *dashboard) path(action string) string {
	return d.url + "/api/rollouts/" + d.a.Namespace + "/reviews" + action
}

func (d *dashboard) request(method, url string, body io.Reader) *http.Response {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), method, url, body)
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Cookie", d.cookie)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Canary-Dashboard", "1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	return response
}

// waitFor reads pages until one is as wanted. The stream ends if that takes more than a minute.
func (d *dashboard) waitFor(what string, isWanted func(*shownPage) bool) {
	d.t.Helper()
	ctx, stop := context.WithTimeout(d.t.Context(), time.Minute)
	defer stop()
	event := ""
	for ctx.Err() == nil && d.events.Scan() {
		if name, is := strings.CutPrefix(d.events.Text(), "event: "); is {
			event = name
		}
		data, is := strings.CutPrefix(d.events.Text(), "data: ")
		if !is || event != "page" {
			continue
		}
		d.last = shownPage{}
		if err := json.Unmarshal([]byte(data), &d.last); err != nil {
			d.t.Fatal(err)
		}
		if isWanted(&d.last) {
			return
		}
	}
	d.t.Fatalf("there was no page %s; the last one: %+v", what, d.last)
}

func (d *dashboard) waitForPause(step string) {
	d.t.Helper()
	d.waitFor("paused at "+step, func(p *shownPage) bool { return p.State == "Paused" && p.Step == step })
}

// ask previews or carries out an action, and returns what is answered.
func (d *dashboard) ask(want int, kind string, request map[string]any) string {
	d.t.Helper()
	if _, given := request["seen"]; !given {
		request["seen"] = d.last.Seen
	}
	encoded, err := json.Marshal(request)
	if err != nil {
		d.t.Fatal(err)
	}
	response := d.request(http.MethodPost, d.path("/"+kind), bytes.NewReader(encoded))
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if response.StatusCode != want {
		d.t.Fatalf("%s %v: status %d, want %d: %s", kind, request["verb"], response.StatusCode, want, content)
	}
	return string(content)
}

// TestDashboardRelease releases and aborts with the dashboard alone, under load.
func TestDashboardRelease(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, env, harness.Options{Rate: rate, Steps: []v1alpha1.Step{
		builder.Weight(20), builder.Hold(), builder.Weight(60), builder.Hold(),
	}})
	d := openDashboard(plugin{t, a})
	d.waitFor("at rest", func(p *shownPage) bool { return p.State == "Healthy" })
	if len(d.last.Problems) > 0 {
		t.Errorf("the page has problems: %v", d.last.Problems)
	}

	image := map[string]any{"verb": "image", "images": map[string]string{"app": builder.ImageV2}}
	d.says(d.ask(http.StatusOK, "preview", image), "step 1/4, setWeight 20", `"stages"`)
	d.ask(http.StatusOK, "act", image)
	d.waitForPause("2/4")
	if d.last.Weight.Verified != 20 || len(d.last.Events) == 0 {
		t.Errorf("the page shows weight %+v and Events %+v", d.last.Weight, d.last.Events)
	}
	if !slices.ContainsFunc(d.last.Revisions, func(r shownRevision) bool { return r.Role == "canary" && len(r.Pods) > 0 }) {
		t.Errorf("the page shows no pods of a canary: %+v", d.last.Revisions)
	}

	seen := d.last.Seen
	d.says(d.ask(http.StatusOK, "preview", map[string]any{"verb": "promote"}), "setWeight 60")
	d.ask(http.StatusOK, "act", map[string]any{"verb": "promote"})
	d.waitForPause("4/4")
	d.says(d.ask(http.StatusConflict, "act", map[string]any{"verb": "promote", "seen": seen}), "has moved on since you looked")
	if verified := d.last.Points[len(d.last.Points)-1].Verified; verified != 60 {
		t.Errorf("the last weight of the plot is %d", verified)
	}

	d.ask(http.StatusOK, "act", map[string]any{"verb": "abort", "reason": "too many errors", "seen": seen}) // at whatever step
	d.waitFor("aborted", func(p *shownPage) bool { return p.State == "Aborted" })
	if last := d.last.History[0]; last.Outcome != v1alpha1.OutcomeAborted || !strings.Contains(last.Message, "too many errors") {
		t.Errorf("the history begins with %+v", last)
	}
	a.CheckRoute()
	a.CheckLoss()
}
