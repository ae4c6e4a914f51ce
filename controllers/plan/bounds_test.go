// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/equality"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
)

// statusLimit is the maximum size of a status. An API server stores objects of up to 1.5 MiB, and the spec needs most of it.
const statusLimit = 256 << 10

// largest are inputs that make statuses as large as they can be: each text that others write is long, and repeats the
// character that JSON needs the most bytes for.
func largest() map[string]Input {
	text := strings.Repeat("<", 1<<17)
	large := func(in *Input) {
		in.Spec.Selector.MatchLabels = map[string]string{}
		for i := range 16 {
			in.Spec.Selector.MatchLabels[fmt.Sprintf("%s/%063d", strings.Repeat("l", 253), i)] = strings.Repeat("v", 63)
		}
		in.Observed.Template.Images = text
		in.Observed.Routes, in.Prior.Memory.Traffic.Routes = nil, nil
		for i := range 16 {
			name := fmt.Sprintf("%0253d", i)
			in.Observed.Routes = append(in.Observed.Routes, Route{
				Kind: "HTTPRoute", Name: name, Found: true, Generation: 7, Weight: 50, Headers: HeadersCurrent, Pending: text, OtherUses: text,
			})
			in.Prior.Memory.Traffic.Routes = append(in.Prior.Memory.Traffic.Routes,
				v1alpha1.RouteMemory{Kind: "HTTPRoute", Name: name, Generation: 7, CarriedAt: ago(60)})
		}
		for i := range v1alpha1.MaxRevisionHistoryLimit {
			revision := fmt.Sprintf("%063d", i)
			in.Observed.ReplicaSets = append(in.Observed.ReplicaSets, ReplicaSet{Name: revision, Revision: revision, Images: text, Desired: 1})
			in.Prior.Memory.Draining = append(in.Prior.Memory.Draining, v1alpha1.DrainMemory{Revision: revision, Since: ago(1)})
		}
		for range historyLength {
			in.Prior.History = append(in.Prior.History, v1alpha1.HistoryEntry{Revision: "x", Images: text, Message: text, StartedBy: text, EndedBy: text})
		}
		for i := range int32(64) {
			in.Prior.StepHistory = append(in.Prior.StepHistory, v1alpha1.StepHistoryEntry{
				Step: i + 1, StartedAt: seconds(epoch), EndedAt: seconds(epoch), WaitingSeconds: 1 << 40,
			})
		}
		in.Prior.Memory.Traffic.HeaderRoutesActive = true
		for i := 0; fitsMemory(append(in.Prior.Memory.StepTargets.HeaderRoutes, largeHeaderRoute(i))); i++ {
			in.Prior.Memory.StepTargets.HeaderRoutes = append(in.Prior.Memory.StepTargets.HeaderRoutes, largeHeaderRoute(i))
		}
		in.Commands = Commands{Abort: &text, Promote: &text, Retry: &text}
		in.Users = Users{AppliedBy: text, PromotedBy: text, AbortedBy: text, RetriedBy: text}
	}
	problem := func(in *Input) {
		in.Commands.Abort, in.Observed.Stable.Problem = nil, &Problem{Reason: "X", Message: text}
	}
	aborted := memory(func(m *v1alpha1.Memory) { m.AbortedRevision, m.AbortReason = "b", text })
	return map[string]Input{
		"aborting":       changed(midway(50, weight(50), pause(0)), large),
		"a problem":      changed(midway(50, weight(50), pause(0)), large, problem),
		"aborted before": changed(idle(weight(50)), large, template("b"), aborted),
		"measured":       measuredInput(large, text),
	}
}

// measuredInput has as many metrics as there can be, with the longest texts and all of their evidence, also of a bake before. Each
// is answered with a long text.
func measuredInput(large change, text string) Input {
	var metrics []v1alpha1.Metric
	for i := range 8 {
		m := errorsMetric()
		m.Name = fmt.Sprintf("m%031d", i)
		metrics = append(metrics, m)
	}
	in := changed(midway(10, weight(10), analysisStep(1<<40, "", metrics...)), large, providers, background(metrics...))
	in.Prior.Memory.StepIndex, in.Commands, in.Prior.Memory.StepTargets.Weight = 1, Commands{}, 10
	for i := range in.Observed.Routes {
		in.Observed.Routes[i].Weight, in.Observed.Routes[i].AcceptedGeneration = 10, 7
	}
	evidence := analysis.Evidence{Counts: analysis.Counts{CanaryBad: 1e9, CanaryTotal: 1e10, StableBad: 1e9, StableTotal: 1e10}}
	for _, m := range newView(&in, gatewayCanary{}).metrics() {
		entry := v1alpha1.MetricMemory{
			Name: m.name, Definition: m.definition, CountedUntil: ago(20), MeasuredAt: ago(20), StartedAt: ago(20), Errors: 1, Problem: excerpt(text),
			ProblemReason: v1alpha1.ReasonNoData, Value: truncateRunes(text, maxValue), Evidence: evidence.Encode(), Verdict: v1alpha1.VerdictOpen,
		}
		all := entries(&in.Prior.Memory.Analysis, m.scope)
		*all = append(*all, entry)
	}
	in.Prior.Memory.Analysis.Bake = in.Prior.Memory.Analysis.Background
	for _, wanted := range Compute(in).Measurements {
		in.Observed.Measured = append(in.Observed.Measured, Measured{
			ID: wanted.ID, Outcome: OutcomeError, At: in.Now, Value: text, Problem: &Problem{Reason: v1alpha1.ReasonQueryRejected, Message: text},
		})
	}
	return in
}

func largeHeaderRoute(i int) v1alpha1.SetHeaderRoute {
	return v1alpha1.SetHeaderRoute{Name: fmt.Sprintf("%063d", i), Matches: []v1alpha1.RequestMatch{
		{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x", Value: strings.Repeat("<", 512)}}},
	}}
}

// TestBounds: no text of users, gateways and webhooks makes a status that cannot be stored.
func TestBounds(t *testing.T) {
	for name, in := range largest() {
		t.Run(name, func(t *testing.T) {
			plan := Compute(in)
			if name == "measured" && plan.Status.Memory.Analysis.Step[0].Errors != 2 {
				t.Errorf("the results do not count: %+v", plan.Status.Memory.Analysis.Step[0])
			}
			checkBounds(t, plan.Status)
			in.Prior = plan.Status
			checkBounds(t, Compute(in).Status)
			checkBounds(t, Failed(in.Prior, plan.Status, 1, strings.Repeat("<", 1<<20), epoch))
		})
	}
}

// checkBounds also checks each text, so that an unbounded one is found while it is short.
// TestBoundsCopies: the prior status is an object of the cache, which others read at the same time. Its texts are truncated in a copy.
func TestBoundsCopies(t *testing.T) {
	in := promoting(100)
	in.Prior.Analysis = []v1alpha1.MetricStatus{{Name: "errors", Message: strings.Repeat("x", 2*maxMessage)}}
	prior := in.Prior.DeepCopy()
	if got := Compute(in).Status.Analysis; len(got) != 1 || len(got[0].Message) > maxMessage {
		t.Errorf("the new status has the metrics %v", got)
	}
	if !equality.Semantic.DeepEqual(&in.Prior, prior) {
		t.Error("the prior status was changed")
	}
}

func checkBounds(t *testing.T, status v1alpha1.CanaryRolloutStatus) {
	t.Helper()
	encoded, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > statusLimit {
		t.Errorf("the status takes %d bytes, more than %d", len(encoded), statusLimit)
	}
	status.Memory.StepTargets.HeaderRoutes, status.Selector = nil, "" // lists of their own bounds
	if encoded, err = json.Marshal(status); err != nil {
		t.Fatal(err)
	}
	for text := range bytes.SplitSeq(encoded, []byte{'"'}) {
		if len(text) > max(maxMessage, 6*maxExcerpt) {
			t.Errorf("a text takes %d bytes: %s...", len(text), text[:100])
		}
	}
}

// TestBoundHeaderRoutes checks that header routes that do not fit into the status are not put in force. The step reports that
// and waits.
func TestBoundHeaderRoutes(t *testing.T) {
	room := maxHeaderRoutes/len(mustEncode(t, largeHeaderRoute(0))) - 1
	var steps []v1alpha1.Step
	for i := range room + 1 {
		route := largeHeaderRoute(i)
		steps = append(steps, v1alpha1.Step{SetHeaderRoute: &route})
	}
	last := largeHeaderRoute(room)
	last.Matches = slices.Repeat(last.Matches, 8)
	steps[room].SetHeaderRoute = &last
	in := changed(midway(0, steps...), func(in *Input) {
		in.Prior.Memory.Traffic.HeaderRoutesActive, in.Observed.Routes[0].Headers = true, HeadersCurrent
		in.Prior.Memory.StepIndex = int32(room - 1)
		for _, step := range steps[:room] {
			in.Prior.Memory.StepTargets.HeaderRoutes = append(in.Prior.Memory.StepTargets.HeaderRoutes, *step.SetHeaderRoute)
		}
	})
	for range 2 {
		in.Prior = Compute(in).Status
	}
	mem := in.Prior.Memory
	if mem.StepIndex != int32(room) || len(mem.StepTargets.HeaderRoutes) != room {
		t.Errorf("at step %d with %d header routes, want %d of them", mem.StepIndex, len(mem.StepTargets.HeaderRoutes), room)
	}
	stalled := conditionOf(Plan{Status: in.Prior}, v1alpha1.ConditionStalled)
	if stalled.Reason != v1alpha1.ReasonRouteLimitExceeded || !strings.Contains(stalled.Message, "more than 64 KiB") {
		t.Errorf("stalled is %s: %s", stalled.Reason, stalled.Message)
	}
}

func mustEncode(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// TestCutTexts checks that texts that fit are unchanged, and that a truncated text is not truncated again.
func TestCutTexts(t *testing.T) {
	for _, char := range []string{"x", "ä", "<", "\u2028", "\x00", "\xff", `"`} {
		for _, length := range []int{0, 1, 100, 256, 257, 1022, 1024, 1025, 5000} {
			text := strings.Repeat(char, length)
			quoted, said := excerpt(text), truncateMessage(text)
			if got := utf8.RuneCountInString(quoted); got > maxExcerpt || length <= maxExcerpt && quoted != text || excerpt(quoted) != quoted {
				t.Errorf("%d of %q quoted are %d characters: %s", length, char, got, quoted)
			}
			encoded := len(mustEncode(t, text)) - len(`""`)
			if got := len(mustEncode(t, said)) - len(`""`); got > maxMessage || encoded <= maxMessage && said != text || truncateMessage(said) != said {
				t.Errorf("%d of %q in a message are %d bytes: %s", length, char, got, said)
			}
		}
	}
}

// TestRevisionHistoryLimit: a limit that was stored before there was a maximum is cut to it.
func TestRevisionHistoryLimit(t *testing.T) {
	limit := int32(5000)
	if got := newSettings(&v1alpha1.CanaryRolloutSpec{RevisionHistoryLimit: &limit}).historyLimit; got != v1alpha1.MaxRevisionHistoryLimit {
		t.Errorf("%d ReplicaSets are kept, want %d", got, v1alpha1.MaxRevisionHistoryLimit)
	}
}
