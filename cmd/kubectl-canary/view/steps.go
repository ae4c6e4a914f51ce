// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Step describes a step in a few words, beginning with its verb in the manifest.
func Step(step v1alpha1.Step) string {
	switch {
	case step.SetWeight != nil:
		return fmt.Sprintf("setWeight %d", *step.SetWeight)
	case step.SetCanaryScale != nil:
		return "setCanaryScale " + scale(step.SetCanaryScale)
	case step.SetHeaderRoute != nil:
		return "setHeaderRoute " + step.SetHeaderRoute.Name + headerRoute(step.SetHeaderRoute)
	case step.SetMirrorRoute != nil:
		return "setMirrorRoute " + mirrorRoute(step.SetMirrorRoute)
	case step.Pause != nil:
		return "pause " + pauseText(step.Pause)
	default:
		return "unknown to this version of kubectl canary"
	}
}

func scale(scale *v1alpha1.SetCanaryScale) string {
	var text string
	switch {
	case scale.MatchTrafficWeight != nil:
		return "to match the weight"
	case scale.Weight != nil:
		text = fmt.Sprintf("%d %%", *scale.Weight)
	case ptr.Deref(scale.Replicas, 0) == 1:
		text = "1 pod"
	default:
		text = fmt.Sprintf("%d pods", ptr.Deref(scale.Replicas, 0))
	}
	if scale.Mode == v1alpha1.ScaleModeExact {
		text += ", exactly"
	}
	return text
}

func mirrorRoute(route *v1alpha1.SetMirrorRoute) string {
	if percent := ptr.Deref(route.Percent, 0); percent > 0 {
		return fmt.Sprintf("%d %%", percent)
	}
	return "ended"
}

func headerRoute(route *v1alpha1.SetHeaderRoute) string {
	if len(route.Matches) == 0 {
		return ", taken away"
	}
	var matches []string
	for _, match := range route.Matches {
		matches = append(matches, requestMatch(match))
	}
	return " (" + strings.Join(matches, " or ") + ")"
}

func requestMatch(match v1alpha1.RequestMatch) string {
	var terms []string
	for _, header := range match.Headers {
		terms = append(terms, term(string(header.Name), string(ptr.Deref(header.Type, "")), header.Value))
	}
	for _, param := range match.QueryParams {
		terms = append(terms, term("?"+string(param.Name), string(ptr.Deref(param.Type, "")), param.Value))
	}
	if match.Method != nil {
		terms = append(terms, string(*match.Method))
	}
	if method := match.GRPCMethod; method != nil {
		terms = append(terms, term("method", string(ptr.Deref(method.Type, "")),
			ptr.Deref(method.Service, "*")+"/"+ptr.Deref(method.Method, "*")))
	}
	return strings.Join(terms, " and ")
}

func term(name, kind, value string) string {
	if kind == string(gatewayv1.HeaderMatchRegularExpression) {
		return name + "~" + value
	}
	return name + "=" + value
}

func pauseText(pause *v1alpha1.Pause) string {
	switch {
	case pause.Duration != nil:
		return short(pause.Duration.Duration)
	case pause.Timeout != nil:
		return fmt.Sprintf("until promoted, or %s: then %s", short(pause.Timeout.Duration), cmp.Or(string(pause.OnTimeout), "?"))
	default:
		return "until promoted"
	}
}

// short omits zero units: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if trimmed := strings.TrimSuffix(text, zero); strings.HasSuffix(trimmed, "m") || strings.HasSuffix(trimmed, "h") {
			text = trimmed
		}
	}
	return text
}

// steps lists the steps, each marked as done, current or to come.
func (r Rollout) steps(s Style, width int) []string {
	steps := r.Object.Spec.Steps
	if len(steps) == 0 {
		return nil
	}
	current := r.currentStep()
	title := "Steps:"
	if current < 0 {
		title = "Steps of the next release:"
	}
	lines := []string{s.paint(bold, title)}
	digits := len(fmt.Sprint(len(steps)))
	for i, step := range steps {
		text := s.cut(fmt.Sprintf("%*d  %s", digits, i+1, Step(step)), width-4)
		lines = append(lines, "  "+stepLine(s, text, i, current))
	}
	return lines
}

func stepLine(s Style, text string, index, current int) string {
	switch {
	case index < current:
		return s.paint(green, s.glyph("✔", "x")) + " " + text
	case index == current:
		return s.paint(yellow, s.glyph("▶", ">")) + " " + s.paint(bold, text)
	default:
		return s.paint(dim, s.glyph("·", ".")+" "+text)
	}
}
