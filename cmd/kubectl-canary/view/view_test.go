// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/golden"
)

// checkWidth fails if a line is too long for the terminal.
func checkWidth(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if got := visible(strings.TrimSuffix(line, "\n")); got > width {
			t.Errorf("a line takes %d columns of %d: %s", got, width, line)
		}
	}
}

// TestRender checks how every state looks in a terminal of 80 and of 140 columns, with and without color.
func TestRender(t *testing.T) {
	for name, scene := range scenes() {
		for _, width := range []int{80, 140} {
			for _, rich := range []bool{true, false} {
				file := fmt.Sprintf("%s-%d", name, width)
				if rich {
					file += "-rich"
				}
				t.Run(file, func(t *testing.T) {
					got := scene.Render(Style{Rich: rich, Width: width}, now)
					checkWidth(t, got, width)
					golden.Check(t, "testdata/"+file+".golden", got)
				})
			}
		}
	}
}

// TestPlainIsPlain checks that output without a terminal contains no escape codes and only ASCII.
func TestPlainIsPlain(t *testing.T) {
	for name, scene := range scenes() {
		for _, r := range scene.Render(Style{}, now) {
			if r > 126 || r < ' ' && r != '\n' {
				t.Errorf("%s has %q", name, r)
				break
			}
		}
	}
}

func TestList(t *testing.T) {
	var rollouts []v1alpha1.CanaryRollout
	for _, name := range []string{"aborted", "degraded", "healthy", "paused", "stepping", "unseen"} {
		object := scenes()[name].Object
		object.Name = "reviews-" + name
		object.Status.Message = strings.ReplaceAll(object.Status.Message, "canaryrollout reviews ", "canaryrollout "+object.Name+" ")
		rollouts = append(rollouts, *object)
	}
	for _, width := range []int{80, 140} {
		for _, rich := range []bool{true, false} {
			name := fmt.Sprintf("list-%d-%t", width, rich)
			got := List(Style{Rich: rich, Width: width}, rollouts, rich, now)
			checkWidth(t, got, width)
			golden.Check(t, "testdata/"+name+".golden", got)
		}
	}
}

// TestStepHistory has a pause in progress, which is not counted in the status yet.
func TestStepHistory(t *testing.T) {
	scene := paused()
	scene.Object.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionPaused, Status: metav1.ConditionTrue, LastTransitionTime: ago(70 * time.Second)}}
	golden.Check(t, "testdata/step-history.golden", StepHistory(Style{Width: 80}, scene.Object, now))
}

func TestHistory(t *testing.T) {
	for _, width := range []int{80, 140} {
		got := History(Style{Rich: width == 140, Width: width}, abortedScene().Object, now)
		checkWidth(t, got, width)
		golden.Check(t, "testdata/"+fmt.Sprintf("history-%d", width)+".golden", got)
	}
}

func TestLine(t *testing.T) {
	var text strings.Builder
	for _, name := range []string{"aborted", "healthy", "paused", "stepping", "unseen"} {
		text.WriteString(Line(Style{}, scenes()[name].Object, " -n shop") + "\n")
	}
	text.WriteString(Line(Style{Rich: true}, paused().Object, "") + "\n")
	golden.Check(t, "testdata/"+"line"+".golden", text.String())
}

func TestStep(t *testing.T) {
	duration := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	regular := ptr.To(gatewayv1.HeaderMatchRegularExpression)
	for want, step := range map[string]v1alpha1.Step{
		"setWeight 20":                       weight(20),
		"setCanaryScale 1 pod":               {SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: ptr.To[int32](1)}},
		"setCanaryScale 2 pods, exactly":     {SetCanaryScale: &v1alpha1.SetCanaryScale{Replicas: ptr.To[int32](2), Mode: v1alpha1.ScaleModeExact}},
		"setCanaryScale 25 %":                {SetCanaryScale: &v1alpha1.SetCanaryScale{Weight: ptr.To[int32](25)}},
		"setCanaryScale to match the weight": {SetCanaryScale: &v1alpha1.SetCanaryScale{MatchTrafficWeight: ptr.To(true)}},
		"setMirrorRoute 10":                  {SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: ptr.To[int32](10)}},
		"setMirrorRoute 0":                   {SetMirrorRoute: &v1alpha1.SetMirrorRoute{Percent: ptr.To[int32](0)}},
		"setHeaderRoute qa removed":          {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa"}},
		"setHeaderRoute qa (role~q.* and ?canary=1 or POST)": {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{
			{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "role", Value: "q.*", Type: regular}}, QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: "canary", Value: "1"}}},
			{Method: ptr.To(gatewayv1.HTTPMethodPost)}}}},
		// A gRPC match used to print as empty parentheses.
		"setHeaderRoute qa (method=shop.Reviews/Get or method=shop.Reviews/* or method~*/Get.*)": {SetHeaderRoute: &v1alpha1.SetHeaderRoute{Name: "qa", Matches: []v1alpha1.RequestMatch{
			{GRPCMethod: &gatewayv1.GRPCMethodMatch{Service: ptr.To("shop.Reviews"), Method: ptr.To("Get")}},
			{GRPCMethod: &gatewayv1.GRPCMethodMatch{Service: ptr.To("shop.Reviews")}},
			{GRPCMethod: &gatewayv1.GRPCMethodMatch{Method: ptr.To("Get.*"), Type: ptr.To(gatewayv1.GRPCMethodMatchRegularExpression)}}}}},
		"pause until promoted":    hold(),
		"pause 10s":               pauseFor(10 * time.Second),
		"pause 1h":                pauseFor(time.Hour),
		"pause 1h30m":             pauseFor(90 * time.Minute),
		"pause 10m":               pauseFor(10 * time.Minute),
		"pause 10m10s":            pauseFor(610 * time.Second),
		"pause, Abort after 1h":   {Pause: &v1alpha1.Pause{Timeout: duration(time.Hour), OnTimeout: v1alpha1.TimeoutAbort}},
		"unknown to this version": {},
	} {
		if got := Step(step); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestLeft checks that a countdown reaches 0s at the end, and no earlier.
func TestLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", time.Millisecond: "1s", 9 * time.Second: "9s", 9001 * time.Millisecond: "10s", time.Hour: "1h0m0s",
	} {
		if got := left(now.Add(d), now); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// TestLongNames checks that a name that is too long for the terminal is cut, but not what is next to it.
func TestLongNames(t *testing.T) {
	scene := healthy()
	long := strings.Repeat("long-", 12)
	scene.ReplicaSets[1].Name, scene.Object.Name = "reviews-"+long, long
	for i := range scene.Pods {
		scene.Pods[i].OwnerReferences[0].Name = "reviews-" + long
		scene.Pods[i].Name = long + scene.Pods[i].Name
	}
	got := scene.Render(Style{Rich: true, Width: 80}, now)
	checkWidth(t, got, 80)
	if !strings.Contains(got, "…") || !strings.Contains(got, "25h") {
		t.Errorf("nothing is cut, or too much:\n%s", got)
	}
}

// TestDocs checks that the documentation shows the output of get, without colors.
func TestDocs(t *testing.T) {
	content, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(paused().Render(Style{Rich: true, Width: 80}, now), "")
	if !strings.Contains(string(content), "$ kubectl canary get reviews -n shop\n"+shown+"```\n") {
		t.Errorf("docs/cli.md should have:\n%s", shown)
	}
	plain := Style{Rich: true, Width: 80}
	analysis := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(strings.Join(analyzing().analysis(plain), "\n"), "")
	if !strings.Contains(string(content), "```text\n"+analysis+"\n```\n") {
		t.Errorf("docs/cli.md should have:\n%s", analysis)
	}
}
