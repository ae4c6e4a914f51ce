// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cost counts what a manager costs: its requests, from the audit log of the API server, and its passes.
package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// Counts are numbers of requests by [Kind].
type Counts map[string]int

// Count counts requests.
func Count(events []auditv1.Event) Counts {
	counts := Counts{}
	for i := range events {
		counts[Kind(&events[i])]++
	}
	return counts
}

// Kind returns the verb and the resource of a request, as in "patch canaryrollouts/status".
func Kind(event *auditv1.Event) string {
	if event.ObjectRef == nil {
		return event.Verb + " " + event.RequestURI
	}
	resource := event.ObjectRef.Resource
	if event.ObjectRef.Subresource != "" {
		resource += "/" + event.ObjectRef.Subresource
	}
	if strings.Contains(event.RequestURI, "dryRun=All") {
		resource += " (dry run)"
	}
	return event.Verb + " " + resource
}

// IsRequest reports whether the event is a request that was answered, about something other than a lease. Watches are not:
// there is a constant number of them.
func IsRequest(event *auditv1.Event) bool {
	isLease := event.ObjectRef != nil && event.ObjectRef.Resource == "leases"
	return event.Stage == auditv1.StageResponseComplete && event.Verb != "watch" && !isLease
}

// ByOperator reports whether the event is a request of the operator, in the sense of [IsRequest].
func ByOperator(event *auditv1.Event) bool {
	return event.User.Username == cluster.OperatorUsername && IsRequest(event)
}

// Total returns how many requests there are.
func (c Counts) Total() (total int) {
	for _, n := range c {
		total += n
	}
	return total
}

// Kinds returns the kinds, sorted.
func (c Counts) Kinds() []string { return slices.Sorted(maps.Keys(c)) }

// Table has a line for each kind.
func (c Counts) Table() string {
	var lines []string
	for _, kind := range c.Kinds() {
		lines = append(lines, fmt.Sprintf("%4d  %s", c[kind], kind))
	}
	return strings.Join(lines, "\n")
}

// Over returns a sentence for each kind of which there are more than the budget allows. A kind that the budget does not name
// is not allowed.
func (c Counts) Over(budget Counts) (over []string) {
	for _, kind := range c.Kinds() {
		if c[kind] > budget[kind] {
			over = append(over, fmt.Sprintf("%d × %s, and the budget is %d", c[kind], kind, budget[kind]))
		}
	}
	return over
}

// Passes counts the passes over the rollouts of a namespace since a time, in the log of a manager that runs with
// --zap-log-level=debug.
func Passes(log, namespace string, from time.Time) (passes int, err error) {
	content, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(content) {
		var entry struct {
			TS             time.Time
			Msg, Namespace string
		}
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "Planned" && entry.Namespace == namespace && entry.TS.After(from) {
			passes++
		}
	}
	return passes, nil
}
