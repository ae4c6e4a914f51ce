// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/analysis"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	// maxQuery is the length of a query or a selector, as in the API; variables may have made it longer.
	maxQuery = 4 << 10
	// maxAnswer is how much of an answer of Prometheus is read.
	maxAnswer = 1 << 20
	// labelPart tells the four sums of a comparison apart.
	labelPart = "canaryrollout_part"
)

// The parts of a comparison.
const (
	partCanaryTotal = "canary_total"
	partCanary      = "canary"
	partStableTotal = "stable_total"
	partStable      = "stable"
)

// compare asks for the counts of a comparison in one query, so that they are of the same moment. During a bake there is no stable
// revision.
func (p *provider) compare(ctx context.Context, request *plan.CompareRequest) plan.Measured {
	type part struct{ name, selector string }
	parts := []part{{partCanaryTotal, request.Canary.Total}, {partCanary, request.Canary.Part}}
	hasStable := request.Stable != plan.CounterPair{}
	if hasStable {
		parts = append(parts, part{partStableTotal, request.Stable.Total}, part{partStable, request.Stable.Part})
	}
	at := now().Add(-p.config.delay()).Truncate(time.Millisecond)
	window := at.Sub(request.From.Truncate(time.Millisecond))
	if window <= 0 {
		return noData("no time has passed since the last measurement")
	}
	sums := make([]string, len(parts))
	for i, part := range parts {
		if err := checkSelector(part.selector); err != nil {
			return failed(v1alpha1.ReasonQueryRejected, "%s of a comparison: %s", clean(part.selector, maxName), err)
		}
		sums[i] = fmt.Sprintf(`label_replace(sum(%s), %q, %q, "", "")`, increase(part.selector, window), labelPart, part.name)
	}
	got, problem := p.query(ctx, strings.Join(sums, " or "), at)
	if problem != nil {
		problem.At = at
		return *problem
	}
	result := counted(got, request.CountsGood, hasStable)
	result.At = at
	return result
}

func checkSelector(selector string) error {
	if len(selector) > maxQuery {
		return fmt.Errorf("it is longer than %d bytes", maxQuery)
	}
	return analysis.CheckSelector(selector)
}

// increase returns a query for the exact increase of counters in a window, in which
//   - a counter that has not been reset is compared with itself at the beginning of the window,
//   - a counter that has been reset counts from 0,
//   - a counter that is new counts from 0 if its target was up at the beginning: it had not counted anything by then. Otherwise
//     its value may be the history of a target that has not been scraped for a while, and it counts from the next window on.
//
// The increases of adjacent windows add up: each of them ends with the very sample that the next one begins with. The function
// increase() of Prometheus extrapolates instead.
func increase(selector string, window time.Duration) string {
	offset := fmt.Sprintf("offset %dms", window.Milliseconds())
	return fmt.Sprintf("(%[1]s - %[1]s %[2]s >= 0) or (%[1]s and %[1]s %[2]s) or (%[1]s and on (job, instance) (up %[2]s == 1))", selector, offset)
}

// counted reads the sums. Bad or good requests that are not found are none: their series appears with the first one.
func counted(vector vector, countsGood, hasStable bool) plan.Measured {
	sums := map[string]float64{}
	for _, s := range vector.samples {
		if math.IsNaN(s.value) || math.IsInf(s.value, 0) || s.value < 0 {
			return noData("a count of requests is %s", formatNumber(s.value))
		}
		sums[s.labels[labelPart]] = s.value
	}
	for _, total := range []struct{ part, revision string }{{partCanaryTotal, "canary"}, {partStableTotal, "stable revision"}} {
		if _, isFound := sums[total.part]; !isFound && (hasStable || total.part != partStableTotal) {
			return noData("total selects no series of the %s that was there at the beginning of the interval", total.revision)
		}
	}
	_, hasCanaryPart := sums[partCanary]
	_, hasStablePart := sums[partStable]
	if countsGood && hasStable && !hasCanaryPart && !hasStablePart && sums[partCanaryTotal]+sums[partStableTotal] > 0 {
		return noData("good selects no series, so that all requests would be bad: check its labels, such as the bound of a bucket")
	}
	counts := analysis.Counts{
		CanaryTotal: sums[partCanaryTotal], CanaryBad: sums[partCanary], StableTotal: sums[partStableTotal], StableBad: sums[partStable],
	}
	if countsGood {
		counts.CanaryBad = max(counts.CanaryTotal-counts.CanaryBad, 0)
		counts.StableBad = max(counts.StableTotal-counts.StableBad, 0)
	}
	value := fmt.Sprintf("canary %s/%s bad", formatNumber(counts.CanaryBad), formatNumber(counts.CanaryTotal))
	if hasStable {
		value += fmt.Sprintf(", stable %s/%s", formatNumber(counts.StableBad), formatNumber(counts.StableTotal))
	}
	return plan.Measured{Outcome: plan.OutcomeCounted, Counts: counts, Value: value}
}

// formatNumber keeps six digits, and a whole number as it is.
func formatNumber(number float64) string {
	if number == math.Trunc(number) && math.Abs(number) < 1e12 {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return strconv.FormatFloat(number, 'g', 6, 64)
}

// threshold evaluates a query and checks its result.
func (p *provider) threshold(ctx context.Context, request *plan.ThresholdRequest) plan.Measured {
	check, err := thresholdCheck(request)
	if err != nil {
		return failed(v1alpha1.ReasonInvalidMetric, "%s", clean(err.Error(), maxText))
	}
	if len(request.Query) > maxQuery {
		return failed(v1alpha1.ReasonQueryRejected, "the query is longer than %d bytes", maxQuery)
	}
	vector, problem := p.query(ctx, request.Query, now().Add(-p.config.delay()))
	if problem != nil {
		return *problem
	}
	if problem := vector.notOne(); problem != "" {
		return noData("%s", problem)
	}
	value := vector.samples[0].value
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return noData("the result of the query is %s", formatNumber(value))
	}
	isGood, err := check(value)
	if err != nil {
		return noData("%s", clean(err.Error(), maxText))
	}
	return judged(isGood, formatNumber(value))
}

// thresholdCheck returns the check of the result of a query.
func thresholdCheck(request *plan.ThresholdRequest) (func(float64) (bool, error), error) {
	if request.Condition != "" {
		condition, err := analysis.Compile(analysis.NumberCondition, request.Condition)
		if err != nil {
			return nil, fmt.Errorf("condition: %w", err)
		}
		return func(value float64) (bool, error) { return condition.Eval(value) }, nil
	}
	lowest, highest := math.Inf(-1), math.Inf(1)
	for _, bound := range []struct {
		name, text string
		value      *float64
	}{{"min", request.Min, &lowest}, {"max", request.Max, &highest}} {
		if bound.text == "" {
			continue
		}
		value, err := strconv.ParseFloat(bound.text, 64)
		if err != nil || math.IsNaN(value) {
			return nil, fmt.Errorf("%s is %q: it must be a number", bound.name, bound.text)
		}
		*bound.value = value
	}
	return func(value float64) (bool, error) { return value >= lowest && value <= highest, nil }, nil
}

// query evaluates a query at a time.
func (p *provider) query(ctx context.Context, query string, at time.Time) (vector, *plan.Measured) {
	timeout := p.queryTimeout()
	form := url.Values{
		"query":   {query},
		"time":    {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
		"timeout": {strconv.FormatFloat(timeout.Seconds(), 'f', 3, 64)},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url.JoinPath("api/v1/query").String(), strings.NewReader(form.Encode()))
	if err != nil {
		return vector{}, p.unreachable("its URL cannot be used")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, problem := p.ask(ctx, request, maxAnswer)
	if problem != nil {
		return vector{}, problem
	}
	if p.isTooSlow(got) {
		return vector{}, p.unreachable("the query takes longer than " + timeout.String())
	}
	if problem := p.refusal(got.Status); problem != nil {
		return vector{}, problem
	}
	if got.IsCut {
		result := noData("the answer to the query has more than %d KiB: aggregate it, for example with sum()", maxAnswer>>10)
		return vector{}, &result
	}
	return p.parse(got)
}

// queryTimeout is how long Prometheus may evaluate a query. It is shorter than the timeout of the request: that a query is too slow
// has to be known from an answer, since a provider without an answer is left alone.
func (p *provider) queryTimeout() time.Duration { return p.Timeout * 9 / 10 }
