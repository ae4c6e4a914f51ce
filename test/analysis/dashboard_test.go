// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// TestDashboard checks that each query of the dashboard has a value, in a Prometheus that has scraped a promoted release and an aborted
// one.
func TestDashboard(t *testing.T) {
	a := start(t, options{rate: 40, steps: []v1alpha1.Step{builder.Weight(50), builder.Gate(10*time.Minute, errorRate("2", rarely))}})
	stable := a.Stable()
	a.release(nil)
	a.CheckPromoted(stable)
	a.release(nil)
	a.Annotate(v1alpha1.AbortAnnotation, "true")
	a.WaitForState(v1alpha1.StateAborted)

	variables := strings.NewReplacer("$namespace", a.Namespace, "$name", "reviews", "$__rate_interval", "1m", "$__range", "5m")
	for panel, expressions := range dashboardQueries(t) {
		for _, expression := range expressions {
			query := variables.Replace(expression)
			a.Eventually(fmt.Sprintf("a value of panel %q: %s", panel, query), func() (bool, string) {
				values := ask(t, query)
				return len(values) > 0 && !strings.Contains(fmt.Sprint(values), "NaN"), fmt.Sprint(values)
			})
		}
	}
	a.finish()
}

// dashboardQueries returns the queries of the shipped dashboard by their panels. Those of its variables are the metrics whose labels
// are offered.
func dashboardQueries(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(repository.Path("config", "dashboards", "canaryrollout.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries[panel.Title] = append(queries[panel.Title], target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if metric, label, isQuery := strings.Cut(strings.TrimPrefix(variable.Definition, "label_values("), ", "); isQuery {
			queries[variable.Name] = []string{fmt.Sprintf("count by (%s (%s)", label, metric)}
		}
	}
	return queries
}

// ask returns the values of an instant query.
func ask(t *testing.T, query string) (values []string) {
	t.Helper()
	response, err := http.Get("http://" + cluster.PrometheusAddress + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %s, %v", query, answer.Error, err)
	}
	for _, series := range answer.Data.Result {
		values = append(values, fmt.Sprint(series.Value[1]))
	}
	return values
}
