// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// definition is where a metric is defined: in a rollout or in a CanaryMetric.
type definition struct {
	place object
	path  string
	*v1alpha1.MetricSource
	// arguments are the names of those that it declares.
	arguments []string
}

func (d definition) find(severity Severity, id, field, message string) Finding {
	return d.place.find(severity, id, d.path+"."+field, message)
}

// checkMetric checks a CanaryMetric on its own.
func checkMetric(metric Metric) []Finding {
	d := definition{place: metric.place, path: "spec", MetricSource: &metric.Spec.MetricSource}
	for _, argument := range metric.Spec.Arguments {
		d.arguments = append(d.arguments, argument.Name)
	}
	return d.check()
}

func (d definition) check() []Finding {
	switch {
	case d.Compare != nil:
		var found []Finding
		for _, counter := range []struct{ field, selector string }{
			{"total", d.Compare.Total}, {"bad", d.Compare.Bad}, {"good", d.Compare.Good},
		} {
			if counter.selector != "" {
				found = append(found, d.checkSelector("compare."+counter.field, counter.selector)...)
			}
		}
		return found
	case d.Threshold != nil:
		found := d.checkText("threshold.query", d.Threshold.Query)
		found = append(found, d.checkCondition("threshold.condition", analysis.NumberCondition, d.Threshold.Condition)...)
		return append(found, d.checkQuery()...)
	case d.Web != nil:
		found := d.checkText("web.path", d.Web.Path)
		return append(found, d.checkCondition("web.condition", analysis.DocumentCondition, d.Web.Condition)...)
	case d.Job != nil:
		return d.checkText("job.template", string(d.Job.Template.Raw))
	default:
		return nil
	}
}

// checkText finds unknown variables.
func (d definition) checkText(field, text string) []Finding {
	if _, err := analysis.Expand(text, d.variables()); err != nil {
		return []Finding{d.find(Error, IDInvalidMetric, field, err.Error())}
	}
	return nil
}

// checkSelector finds unknown variables, and counters that are no series selectors.
func (d definition) checkSelector(field, selector string) []Finding {
	expanded, err := analysis.Expand(selector, d.variables())
	if err == nil {
		err = analysis.CheckSelector(expanded)
	}
	if err != nil {
		return []Finding{d.find(Error, IDInvalidMetric, field, err.Error())}
	}
	return nil
}

func (d definition) checkCondition(field string, kind analysis.ConditionKind, condition string) []Finding {
	if condition == "" {
		return nil
	}
	if _, err := analysis.Compile(kind, condition); err != nil {
		return []Finding{d.find(Error, IDInvalidMetric, field, err.Error())}
	}
	return nil
}

// variables returns a value for each variable that the metric may contain. Only the names matter.
func (d definition) variables() map[string]string {
	values := map[string]string{}
	for _, name := range analysis.VariableNames {
		values[name] = "a"
	}
	for _, name := range d.arguments {
		values[analysis.VariableArgument+name] = "a"
	}
	return values
}

var (
	// quoted are strings of PromQL, in which brackets mean nothing.
	quoted = regexp.MustCompile("\"([^\"\\\\\n]|\\\\.)*\"|'([^'\\\\\n]|\\\\.)*'|`[^`]*`")
	// literalRange is the duration of a range or of a subquery that is written as a number.
	literalRange = regexp.MustCompile(`\[\s*([0-9][0-9a-z]*)\s*[:\]]`)
)

// checkQuery warns about a query that also counts requests from before the canary had its traffic, and about one that is the same
// whatever the canary does.
func (d definition) checkQuery() []Finding {
	var found []Finding
	window := lasting(d.Threshold.Window, v1alpha1.DefaultMetricWindow)
	for _, match := range literalRange.FindAllStringSubmatch(quoted.ReplaceAllString(d.Threshold.Query, ""), -1) {
		if back, err := model.ParseDuration(match[1]); err == nil && time.Duration(back) > window {
			found = append(found, d.find(Warning, IDWindow, "threshold.query", fmt.Sprintf(
				"it looks back %s, and the first measurement is made when the canary has had its traffic for %s: write [{{window}}], and set window",
				match[1], plan.Duration(window))))
			break
		}
	}
	if !d.isAboutCanary(d.Threshold.Query) {
		found = append(found, d.find(Warning, IDNotAboutCanary, "threshold.query",
			"it names neither the canary Service nor its revision, so the pods of the stable revision are measured, too: use {{service}}, {{revision}} or {{replicaSet}}"))
	}
	return found
}

// isAboutCanary reports whether a query contains a variable that is different for the canary, or an argument, or the name of the
// canary Service.
func (d definition) isAboutCanary(query string) bool {
	about := []string{
		analysis.VariableService, analysis.VariableRevision, analysis.VariableReplicaSet,
		analysis.VariableCanaryService, analysis.VariableCanaryRevision, analysis.VariableCanaryReplicaSet,
	}
	if slices.ContainsFunc(analysis.Variables(query), func(name string) bool {
		return slices.Contains(about, name) || strings.HasPrefix(name, analysis.VariableArgument)
	}) {
		return true
	}
	service, _, _ := unstructured.NestedString(d.place.Object, "spec", "traffic", "canaryService")
	return service != "" && strings.Contains(query, service)
}

// lasting returns a duration, or its default.
func lasting(d *metav1.Duration, fallback time.Duration) time.Duration {
	if d == nil {
		return fallback
	}
	return d.Duration
}
