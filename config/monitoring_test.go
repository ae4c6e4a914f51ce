// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config holds what is installed beside the operator. Its test keeps alert rules and dashboards in step with the
// metrics and with the documentation.
package config

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	_ "sigs.k8s.io/controller-runtime/pkg/controller" // registers metrics of its own
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	_ "github.com/canaryrollout/canaryrollout/controllers/metrics" // registers ours
)

const (
	rulesFile     = "alerts/rules.yaml"
	rulesTestFile = "alerts/rules_test.yaml"
	dashboardFile = "dashboards/canaryrollout.json"
	runbook       = "https://github.com/canaryrollout/canaryrollout/blob/main/docs/"
)

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(read(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 {
		t.Fatalf("%d groups", len(file.Groups))
	}
	return file.Groups[0].Rules
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestRules holds that an alert says what happens, what to type, how bad it is, and where to read on.
func TestRules(t *testing.T) {
	want := []string{
		"CanaryRolloutAborted", "CanaryRolloutStuck", "CanaryRolloutPausedTooLong", "CanaryRolloutRouteNotVerified",
		"CanaryRolloutInconclusive", "CanaryRolloutNotMeasured", "CanaryRolloutMetricProviderDown", "CanaryRolloutNotificationSinkDown",
		"CanaryRolloutControllerDown", "CanaryRolloutShardDown",
	}
	var names []string
	for _, r := range rules(t) {
		names = append(names, r.Alert)
		if r.Annotations["summary"] == "" || !strings.Contains(r.Annotations["description"], "kubectl -n ") {
			t.Errorf("%s: no summary, or no command in the description: %q", r.Alert, r.Annotations)
		}
		if severity := r.Labels["severity"]; severity != "warning" && severity != "critical" {
			t.Errorf("%s: severity %q", r.Alert, severity)
		}
		checkRunbook(t, r)
		checkMetrics(t, r.Alert, r.Expr)
	}
	if !slices.Equal(names, want) {
		t.Errorf("alerts %v, want %v", names, want)
	}
}

// checkRunbook demands a heading of the documentation with the alert's name.
func checkRunbook(t *testing.T, r rule) {
	t.Helper()
	page, found := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
	file, anchor, _ := strings.Cut(page, "#")
	if !found || anchor != strings.ToLower(r.Alert) {
		t.Fatalf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
	}
	heading := regexp.MustCompile("(?m)^#+ " + r.Alert + "$")
	if !heading.Match(read(t, filepath.Join("..", "docs", file))) {
		t.Errorf("docs/%s has no heading %s", file, r.Alert)
	}
}

var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	// comparedLabels are those in braces; modifiers those after on, by and the like.
	comparedLabels = regexp.MustCompile(`\{[^}]*\}`)
	modifiers      = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	variables      = regexp.MustCompile(`\$\w+`)
	function       = regexp.MustCompile(`\b\w+\s*\(`)
	identifier     = regexp.MustCompile(`\b[a-z]+(_[a-z0-9]+)+\b`)
	description    = regexp.MustCompile(`fqName: "([^"]+)"`)
	ofHistogram    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// registered are the names of all metrics that the manager has.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		metrics.Registry.(prometheus.Collector).Describe(descriptions)
	}()
	names := map[string]bool{}
	for d := range descriptions {
		names[description.FindStringSubmatch(d.String())[1]] = true
	}
	return names
}

// checkMetrics demands that every metric of an expression is one that the manager has.
func checkMetrics(t *testing.T, where, expression string) {
	t.Helper()
	known, bare := registered(t), expression
	for _, noise := range []*regexp.Regexp{quoted, comparedLabels, modifiers, variables, function} {
		bare = noise.ReplaceAllString(bare, " ")
	}
	names := identifier.FindAllString(bare, -1)
	if len(names) == 0 {
		t.Errorf("%s: no metric in %s", where, expression)
	}
	for _, name := range names {
		if !known[name] && !known[ofHistogram.ReplaceAllString(name, "")] {
			t.Errorf("%s: the manager has no metric %s", where, name)
		}
	}
}

// TestDashboard holds that the dashboard is JSON that Grafana can read, and shows metrics that there are.
func TestDashboard(t *testing.T) {
	var dashboard struct {
		Title, UID string
		Panels     []struct {
			Title, Type string
			GridPos     struct{ H, W, X, Y int }
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(read(t, dashboardFile), &dashboard); err != nil {
		t.Fatal(err)
	}
	expressions := 0
	for _, panel := range dashboard.Panels {
		if panel.Title == "" || panel.GridPos.W == 0 || panel.GridPos.X+panel.GridPos.W > 24 || panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q: %+v", panel.Title, panel)
		}
		for _, target := range panel.Targets {
			checkMetrics(t, panel.Title, target.Expr)
			expressions++
		}
	}
	if dashboard.Title == "" || dashboard.UID == "" || expressions < 10 || len(dashboard.Templating.List) != 3 {
		t.Errorf("%q %q has %d expressions and %d variables", dashboard.Title, dashboard.UID, expressions, len(dashboard.Templating.List))
	}
}

// promtool is the one that hack/tool.sh has built, or that is installed; empty if there is none.
func promtool() string {
	if cache, err := os.UserCacheDir(); err == nil {
		built, _ := filepath.Glob(filepath.Join(cache, "canaryrollout", "tools", "prometheus-*", "promtool"))
		if len(built) > 0 {
			return built[len(built)-1]
		}
	}
	installed, _ := exec.LookPath("promtool")
	return installed
}

// TestPromtool runs the rules' own tests, where there is a promtool. Elsewhere make verify builds one.
func TestPromtool(t *testing.T) {
	tool := promtool()
	if tool == "" {
		t.Skip("promtool is not built: hack/tool.sh prometheus github.com/prometheus/prometheus/cmd/promtool")
	}
	for _, arguments := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", rulesTestFile}} {
		if output, err := exec.CommandContext(t.Context(), tool, arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}
