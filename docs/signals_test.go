// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	_ "github.com/canaryrollout/canaryrollout/controllers/metrics" // registers what is to be described
)

// described is how a collector says what it is: its name, and the labels of its series.
var described = regexp.MustCompile(`fqName: "(canaryrollout_\w+)".*variableLabels: \{namespace,name,?(\w*)\}`)

// shared are the rows of the metrics that are not about a rollout.
var shared = map[string]string{
	"canaryrollout_build_info":                     "gauge | `version`, `revision`, `goversion`",
	"canaryrollout_measurements_total":             "counter | `kind`, `outcome`",
	"canaryrollout_shards":                         "gauge |",
	"canaryrollout_metric_provider_requests_total": "counter | `provider`, `outcome`",
	"canaryrollout_notifications_total":            "counter | `sink`, `outcome`",
	"canaryrollout_notification_sink_up":           "gauge | `sink`",
}

var fqName = regexp.MustCompile(`fqName: "(\w+)"`)

// TestMetricsAreNamed demands that every metric is described, with its labels.
func TestMetricsAreNamed(t *testing.T) {
	operations := read(t, "operations.md")
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		metrics.Registry.(prometheus.Collector).Describe(descriptions)
	}()
	named := 0
	for d := range descriptions {
		if !strings.Contains(d.String(), `fqName: "canaryrollout_`) {
			continue
		}
		named++
		metricName := fqName.FindStringSubmatch(d.String())[1]
		if row := shared[metricName]; row != "" {
			if !strings.Contains(operations, "\n| `"+metricName+"` | "+row+" | ") {
				t.Errorf("operations.md has no row for %s with its labels", metricName)
			}
			continue
		}
		metric := described.FindStringSubmatch(d.String())
		if metric == nil {
			t.Fatalf("a metric without the labels namespace and name, or with many more: %s", d)
		}
		label := ""
		if metric[2] != "" {
			label = "`" + metric[2] + "` "
		}
		row := regexp.MustCompile("(?m)^\\| `" + metric[1] + "` \\| (gauge|histogram|counter) \\| " + label + "\\| ")
		if !row.MatchString(operations) {
			t.Errorf("operations.md has no row for %s with the label %q", metric[1], metric[2])
		}
	}
	if named == 0 {
		t.Error("no metric was found: have they moved?")
	}
}

// wellKnown are the condition reasons that tell where a rollout is, not that something is wrong.
var wellKnown = []string{
	"Initializing", "Healthy", "Complete", "Progressing", "PauseStep", "SpecPaused", "NotPaused", "Paused", "Promoting",
	"RollingBack", "Aborting", "Deleting", "PodsAvailable", "NotStalled", "Verified", "Measuring", "NotMeasuring", "SinksFound",
}

// TestTroubleshooting demands, for every alert, for every condition reason that is a problem and for every Event, a heading
// of its own, by which it can be linked, with why it comes and what to do.
func TestTroubleshooting(t *testing.T) {
	conditions := slices.DeleteFunc(slices.Collect(maps.Values(constants(t, "../api/v1alpha1/conditions.go", "Reason"))),
		func(reason string) bool { return slices.Contains(wellKnown, reason) })
	entries := map[string][]string{
		"Alerts":     alerts(t),
		"Conditions": conditions,
		"Events":     slices.Collect(maps.Values(constants(t, "../controllers/plan/events.go", "Event"))),
	}
	text := read(t, "troubleshooting.md")
	for chapter, names := range entries {
		if len(names) < 5 {
			t.Errorf("only %d %s: have they moved?", len(names), chapter)
		}
		_, rest, found := strings.Cut(text, "\n## "+chapter+"\n")
		if !found {
			t.Fatalf("troubleshooting.md has lost the heading %s", chapter)
		}
		sections := sectionsOf(rest)
		for _, name := range names {
			checkEntry(t, chapter, name, sections)
		}
		if len(sections) != len(names) {
			t.Errorf("%s: %d entries for %d names: one is about something that is no more", chapter, len(sections), len(names))
		}
	}
}

// alerts are the names of the alert rules.
func alerts(t *testing.T) []string {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal([]byte(read(t, "../config/alerts/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, rule := range file.Groups[0].Rules {
		names = append(names, rule.Alert)
	}
	return names
}

// sectionsOf are the sections of a chapter by their headings.
func sectionsOf(rest string) map[string]string {
	chapter, _, _ := strings.Cut(rest, "\n## ")
	sections := map[string]string{}
	for _, section := range strings.Split(chapter, "\n### ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		sections[heading] = body
	}
	return sections
}

var answers = regexp.MustCompile(`(?s)^\n\*\*Why\.\*\* \w.*\n\n\*\*What to do\.\*\* \w.*`)

func checkEntry(t *testing.T, chapter, name string, sections map[string]string) {
	t.Helper()
	body, found := sections[name]
	switch {
	case !found:
		t.Errorf("troubleshooting.md has no entry for %s below %s", name, chapter)
	case !answers.MatchString(body):
		t.Errorf("the entry for %s does not say why it comes and what to do:\n%s", name, body)
	}
}
