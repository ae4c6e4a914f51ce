// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// provider is a metric provider of the administrator.
type provider struct {
	*endpoint.Endpoint
	config  providerConfig
	url     *url.URL
	lane    *lane
	breaker breaker
}

func newProvider(c providerConfig, directory string) (*provider, error) {
	at, err := c.complete()
	if err != nil {
		return nil, err
	}
	e, err := endpoint.New(c.Config, directory)
	if err != nil {
		return nil, err
	}
	return &provider{Endpoint: e, config: c, url: at, lane: &lane{workers: workers}}, nil
}

// providerOf returns the name of the provider of a measurement; empty for a Job.
func providerOf(measurement plan.Measurement) string {
	switch {
	case measurement.Compare != nil:
		return measurement.Compare.Provider
	case measurement.Threshold != nil:
		return measurement.Threshold.Provider
	case measurement.Web != nil:
		return measurement.Web.Provider
	default:
		return ""
	}
}

// kindOf returns the kind of a measurement, as the field of the API is called.
func kindOf(measurement plan.Measurement) string {
	switch {
	case measurement.Compare != nil:
		return "compare"
	case measurement.Threshold != nil:
		return "threshold"
	case measurement.Web != nil:
		return "web"
	default:
		return "job"
	}
}

// notFound is the result of a measurement by a provider that does not exist, or of a Job that may not run.
func notFound(_ context.Context, measurement plan.Measurement) plan.Measured {
	if measurement.Job != nil {
		return failed(v1alpha1.ReasonJobsNotAllowed, "the operator may not run Jobs: an administrator can allow it with the flag --allow-jobs")
	}
	return failed(v1alpha1.ReasonProviderNotFound, "there is no metric provider %s: an administrator names providers in the file of the flag "+
		"--metric-providers", clean(providerOf(measurement), maxName))
}

// failed is a measurement without an answer.
func failed(reason, message string, args ...any) plan.Measured {
	return plan.Measured{
		Outcome: plan.OutcomeError, At: now(), Problem: &plan.Problem{Reason: reason, Message: fmt.Sprintf(message, args...)},
	}
}

// noData is a measurement whose answer has no usable value.
func noData(message string, args ...any) plan.Measured {
	return plan.Measured{
		Outcome: plan.OutcomeNoData, At: now(), Problem: &plan.Problem{Reason: v1alpha1.ReasonNoData, Message: fmt.Sprintf(message, args...)},
	}
}

// judged is a measurement whose answer fulfills the condition, or does not.
func judged(isGood bool, value string) plan.Measured {
	outcome := plan.OutcomeBad
	if isGood {
		outcome = plan.OutcomeGood
	}
	return plan.Measured{Outcome: outcome, At: now(), Value: value}
}

// measure makes a measurement once.
func (p *provider) measure(ctx context.Context, measurement plan.Measurement) plan.Measured {
	switch {
	case measurement.Compare != nil && p.config.Prometheus != nil:
		return p.compare(ctx, measurement.Compare)
	case measurement.Threshold != nil && p.config.Prometheus != nil:
		return p.threshold(ctx, measurement.Threshold)
	case measurement.Web != nil && p.config.Web != nil:
		return p.web(ctx, measurement.Web)
	}
	kind := "Prometheus"
	if measurement.Web != nil {
		kind = "web"
	}
	return failed(v1alpha1.ReasonProviderNotFound, "the metric provider %s is not a %s provider", p.Name, kind)
}

// isUnavailable reports whether an answer shows that the provider as a whole has a problem. Any other error may be due to what was
// asked: the slow query or the broken path of one rollout must not stop the measurements of all the others.
func (p *provider) isUnavailable(got endpoint.Answer) bool {
	switch got.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !p.isTooSlow(got)
	default:
		return false
	}
}

// isTooSlow reports whether Prometheus has stopped a query because it takes too long.
func (p *provider) isTooSlow(got endpoint.Answer) bool {
	var parsed queryAnswer
	return p.config.Prometheus != nil && got.Status == http.StatusServiceUnavailable && json.Unmarshal(got.Body, &parsed) == nil &&
		parsed.ErrorType == "timeout"
}

// ask sends a request and reads the answer up to a limit. A provider that is unavailable is left alone for a while: until
// then, its measurements have the same result at once. They are not made later instead, because each of them is for its own
// time, and the next one is made at the metric's interval anyway.
func (p *provider) ask(ctx context.Context, request *http.Request, limit int64) (endpoint.Answer, *plan.Measured) {
	if err := p.Requests.Wait(ctx); err != nil {
		return endpoint.Answer{}, p.unreachable("too many requests are waiting for it")
	}
	isTrial, why := p.breaker.enter(now())
	if why != "" {
		return endpoint.Answer{}, p.unreachable(why)
	}
	got, err := p.Send(ctx, request, limit)
	switch {
	case err != nil:
		why = p.Describe(err)
	case p.isUnavailable(got):
		why = withStatus(got.Status)
	}
	if ctx.Err() != nil {
		p.breaker.cancel(isTrial, now())
		return endpoint.Answer{}, p.unreachable("canceled")
	}
	metrics.RecordProviderRequest(p.Name, why == "" && (got.Status < http.StatusInternalServerError || p.isTooSlow(got)))
	switch isNews := p.breaker.leave(isTrial, why, now()); {
	case isNews && why != "":
		log.FromContext(ctx).Info("A metric provider does not answer", "provider", p.Name, "status", got.Status, "error", fmt.Sprint(err))
	case isNews:
		log.FromContext(ctx).Info("A metric provider answers again", "provider", p.Name)
	}
	if why != "" {
		return endpoint.Answer{}, p.unreachable(why)
	}
	return got, nil
}

func (p *provider) unreachable(why string) *plan.Measured {
	result := failed(v1alpha1.ReasonProviderUnreachable, "the metric provider %s does not answer: %s", p.Name, why)
	return &result
}

func withStatus(status int) string { return fmt.Sprintf("it answers with status %d", status) }

// refusal explains a status that is the administrator's to fix; nil if it may be the query's fault.
func (p *provider) refusal(status int) *plan.Measured {
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return p.unreachable(fmt.Sprintf("it refuses the credentials of the operator, with status %d", status))
	case status >= 300 && status < 400:
		return p.unreachable(fmt.Sprintf("it redirects to another address, with status %d: redirects are not followed", status))
	case status >= http.StatusInternalServerError:
		return p.unreachable(withStatus(status))
	}
	return nil
}
