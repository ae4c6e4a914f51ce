// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// List formats a table of rollouts, with their namespaces if requested.
func List(s Style, rollouts []v1alpha1.CanaryRollout, namespaces bool, now time.Time) string {
	t := &table{optional: true}
	head := plain("NAME", "STATUS", "STEP", "WEIGHT", "REVISION", "READY", "AGE", "MESSAGE")
	t.shrink = []int{len(head) - 1, 0}
	if namespaces {
		head = append(plain("NAMESPACE"), head...)
		t.shrink = []int{len(head) - 1, 1, 0}
	}
	t.add(head...)
	for i := range rollouts {
		t.add(listRow(s, &rollouts[i], namespaces, now)...)
	}
	return join(t.lines(s))
}

func listRow(s Style, rollout *v1alpha1.CanaryRollout, namespaces bool, now time.Time) []cell {
	status := rollout.Status
	look := lookOf(status.State)
	cells := []cell{{text: rollout.Name}, {stateWord(status), look.color}}
	if s.Rich {
		cells[1].text = look.icon + " " + cells[1].text
	}
	flags := ""
	if namespaces {
		cells = append(plain(rollout.Namespace), cells...)
		flags = " -n " + rollout.Namespace
	}
	return append(cells, plain(cmp.Or(status.Step, "-"), cmp.Or(status.Weight, "-"), cmp.Or(status.Revision, "-"),
		cmp.Or(status.Ready, "-"), age(rollout.CreationTimestamp.Time, now), Message(rollout, flags))...)
}

// History formats a table of the last releases, newest first.
func History(s Style, rollout *v1alpha1.CanaryRollout, now time.Time) string {
	t := &table{shrink: []int{5, 1}, tails: []int{1}}
	t.add(plain("REVISION", "IMAGES", "OUTCOME", "STARTED", "DURATION", "WHO, WHY")...)
	marked := map[string]bool{}
	for _, entry := range rollout.Status.History {
		name := entry.Revision
		if mark := mark(rollout.Status.Memory, name); mark != "" && !marked[name] {
			marked[name], name = true, fmt.Sprintf("%s (%s)", name, mark)
		}
		started, took := "-", "-"
		if entry.StartedAt != nil {
			started = age(entry.StartedAt.Time, now) + " ago"
			end := now
			if entry.EndedAt != nil {
				end = entry.EndedAt.Time
			}
			took = age(entry.StartedAt.Time, end)
		}
		t.add(cell{text: name}, cell{text: entry.Images}, cell{string(entry.Outcome), outcomeColor(entry.Outcome)},
			cell{text: started}, cell{text: took}, cell{text: whoAndWhy(&entry)})
	}
	return join(t.lines(s))
}

// whoAndWhy returns who started a release, who ended it unless it ended by itself, and why.
func whoAndWhy(entry *v1alpha1.HistoryEntry) string {
	text := cmp.Or(entry.StartedBy, "unknown")
	if entry.EndedBy != "" {
		text += ", " + entry.EndedBy
	}
	if entry.Message != "" {
		text += ": " + entry.Message
	}
	return text
}

// mark labels the stable and the current revision.
func mark(memory *v1alpha1.Memory, revision string) string {
	switch {
	case memory == nil:
		return ""
	case revision == memory.StableRevision:
		return "stable"
	case revision == memory.CurrentRevision:
		return "current"
	default:
		return ""
	}
}

func outcomeColor(outcome v1alpha1.Outcome) string {
	switch outcome {
	case v1alpha1.OutcomePromoted:
		return green
	case v1alpha1.OutcomeAborted:
		return red
	case v1alpha1.OutcomeInProgress:
		return yellow
	case v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeReverted:
		return dim
	default:
		return ""
	}
}

// Line formats a rollout as one line.
func Line(s Style, rollout *v1alpha1.CanaryRollout, flags string) string {
	status := rollout.Status
	look := lookOf(status.State)
	fields := []string{s.paint(look.color, s.glyph(look.icon+" ", "")+stateWord(status))}
	for _, field := range [][2]string{{"step", status.Step}, {"weight", status.Weight}, {"revision", status.Revision}, {"ready", status.Ready}} {
		if field[1] != "" {
			fields = append(fields, field[0]+" "+field[1])
		}
	}
	if message := Message(rollout, flags); message != "" {
		fields = append(fields, message)
	}
	return oneLine(strings.Join(fields, "  "))
}
