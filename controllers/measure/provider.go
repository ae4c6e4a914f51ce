// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/prometheus/common/config"
	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/metrics"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// provider is a metric provider of the administrator.
type provider struct {
	name   string
	config providerConfig
	url    *url.URL
	client *http.Client
	lane   *lane
	// requests limits the rate of requests.
	requests *rate.Limiter
	breaker  breaker
}

func newProvider(c providerConfig, directory string) (*provider, error) {
	at, err := c.complete(directory)
	if err != nil {
		return nil, err
	}
	client, err := config.NewClientFromConfig(*c.HTTPConfig, c.Name, config.WithUserAgent("canaryrollout"))
	if err != nil {
		return nil, fmt.Errorf("httpConfig: %w", err)
	}
	return &provider{
		name: c.Name, config: c, url: at, client: client, lane: &lane{workers: workers},
		requests: rate.NewLimiter(rate.Limit(c.RequestsPerSecond), int(math.Ceil(c.RequestsPerSecond))),
	}, nil
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
	return failed(v1alpha1.ReasonProviderNotFound, "the metric provider %s is not a %s provider", p.name, kind)
}

// answer is the answer of a provider.
type answer struct {
	status int
	body   []byte
	// isCut is set if the answer was longer than its limit.
	isCut bool
}

// isUnavailable reports whether an answer shows that the provider as a whole has a problem. Any other error may be due to what was
// asked: the slow query or the broken path of one rollout must not stop the measurements of all the others.
func (p *provider) isUnavailable(got answer) bool {
	switch got.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !p.isTooSlow(got)
	default:
		return false
	}
}

// isTooSlow reports whether Prometheus has stopped a query because it takes too long.
func (p *provider) isTooSlow(got answer) bool {
	var parsed queryAnswer
	return p.config.Prometheus != nil && got.status == http.StatusServiceUnavailable && json.Unmarshal(got.body, &parsed) == nil &&
		parsed.ErrorType == "timeout"
}

// ask sends a request and reads the answer up to a limit. A provider that is unavailable is left alone for a while: until
// then, its measurements have the same result at once. They are not made later instead, because each of them is for its own
// time, and the next one is made at the metric's interval anyway.
func (p *provider) ask(ctx context.Context, request *http.Request, limit int64) (answer, *plan.Measured) {
	if err := p.requests.Wait(ctx); err != nil {
		return answer{}, p.unreachable("too many requests are waiting for it")
	}
	isTrial, why := p.breaker.enter(now())
	if why != "" {
		return answer{}, p.unreachable(why)
	}
	got, err := p.send(ctx, request, limit)
	switch {
	case err != nil:
		why = describe(err, time.Duration(p.config.Timeout))
	case p.isUnavailable(got):
		why = withStatus(got.status)
	}
	if ctx.Err() != nil {
		p.breaker.cancel(isTrial, now())
		return answer{}, p.unreachable("canceled")
	}
	metrics.RecordProviderRequest(p.name, why == "" && got.status < http.StatusInternalServerError)
	switch isNews := p.breaker.leave(isTrial, why, now()); {
	case isNews && why != "":
		log.FromContext(ctx).Info("A metric provider does not answer", "provider", p.name, "status", got.status, "error", fmt.Sprint(err))
	case isNews:
		log.FromContext(ctx).Info("A metric provider answers again", "provider", p.name)
	}
	if why != "" {
		return answer{}, p.unreachable(why)
	}
	return got, nil
}

func (p *provider) send(ctx context.Context, request *http.Request, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.config.Timeout))
	defer cancel()
	response, err := p.client.Do(request.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return answer{}, err
	}
	return answer{response.StatusCode, body, int64(len(body)) > limit}, nil
}

func (p *provider) unreachable(why string) *plan.Measured {
	result := failed(v1alpha1.ReasonProviderUnreachable, "the metric provider %s does not answer: %s", p.name, why)
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

// describe describes a failed request without addresses and without anything that a server sent: an author of rollouts can
// read it.
func describe(err error, timeout time.Duration) string {
	var network net.Error
	var resolving *net.DNSError
	var certificate *tls.CertificateVerificationError
	var file *fs.PathError
	switch {
	case errors.As(err, &certificate):
		return "its certificate is not accepted"
	case errors.As(err, &resolving):
		return "its host cannot be resolved"
	case errors.As(err, &file):
		return "a file with its credentials cannot be read"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout():
		return "no answer within " + timeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	default:
		return "the connection failed"
	}
}
