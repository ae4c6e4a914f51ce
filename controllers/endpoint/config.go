// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package endpoint has what HTTP servers that an administrator names in a file have in common: metric providers and the sinks of
// notifications.
package endpoint

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The defaults and limits of an endpoint.
const (
	defaultTimeout = 10 * time.Second
	// DefaultRequestsPerSecond is the default limit of the requests per second.
	DefaultRequestsPerSecond = 10
	// maxTimeout keeps an endpoint that hangs from holding its workers.
	maxTimeout = time.Minute
	// maxEndpoints bounds the queues and the workers.
	maxEndpoints = 100
)

// Config is the part of an entry of a file that all kinds of endpoints share.
type Config struct {
	// Name is how rollouts name the endpoint.
	Name string `yaml:"name"`
	// Timeout is how long a request may take; 10 seconds if it is 0.
	Timeout model.Duration `yaml:"timeout"`
	// RequestsPerSecond limits the requests of all rollouts together; 10 if it is 0.
	RequestsPerSecond float64 `yaml:"requestsPerSecond"`
	// HTTPConfig is the http_config of Prometheus: TLS, credentials and headers.
	HTTPConfig *config.HTTPClientConfig `yaml:"httpConfig"`
}

// Common returns the shared part of an entry.
func (c Config) Common() Config { return c }

// Parse reads a list of endpoints in YAML and has each of them added. noun is what errors call an endpoint.
func Parse[T interface{ Common() Config }](content []byte, noun string, add func(T) error) error {
	var entries []T
	if err := yaml.UnmarshalStrict(content, &entries); err != nil {
		return err
	}
	if len(entries) > maxEndpoints {
		return fmt.Errorf("there are %d %ss: the limit is %d", len(entries), noun, maxEndpoints)
	}
	known := map[string]bool{}
	for i, entry := range entries {
		name := entry.Common().Name
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("%s %d: name is %q: %s", noun, i+1, name, problems[0])
		}
		if known[name] {
			return fmt.Errorf("%s %s: name is used twice", noun, name)
		}
		known[name] = true
		if err := add(entry); err != nil {
			return fmt.Errorf("%s %s: %w", noun, name, err)
		}
	}
	return nil
}

// New returns the endpoint of an entry. Relative names of files in it are relative to a directory.
func New(c Config, directory string) (*Endpoint, error) {
	if c.Timeout == 0 {
		c.Timeout = model.Duration(defaultTimeout)
	}
	if c.Timeout > model.Duration(maxTimeout) {
		return nil, fmt.Errorf("timeout is %s: it must be at most %s", c.Timeout, maxTimeout)
	}
	if c.RequestsPerSecond == 0 {
		c.RequestsPerSecond = DefaultRequestsPerSecond
	}
	if !(c.RequestsPerSecond > 0 && c.RequestsPerSecond <= 1000) {
		return nil, fmt.Errorf("requestsPerSecond is %g: it must be above 0 and at most 1000", c.RequestsPerSecond)
	}
	if c.HTTPConfig == nil {
		c.HTTPConfig = &config.HTTPClientConfig{EnableHTTP2: true}
	}
	c.HTTPConfig.SetDirectory(directory)
	// A redirect could lead to a host that the administrator has not named.
	c.HTTPConfig.FollowRedirects = false
	client, err := config.NewClientFromConfig(*c.HTTPConfig, c.Name, config.WithUserAgent("canaryrollout"))
	if err != nil {
		return nil, fmt.Errorf("httpConfig: %w", err)
	}
	return &Endpoint{
		Name: c.Name, Timeout: time.Duration(c.Timeout), Client: client,
		Requests: rate.NewLimiter(rate.Limit(c.RequestsPerSecond), int(math.Ceil(c.RequestsPerSecond))),
	}, nil
}

// ParseURL parses the URL of a field. Its errors do not repeat the URL, because it may have a password.
func ParseURL(field, text string) (*url.URL, error) {
	at, err := ParseSecretURL(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %w", field, err)
	case at.RawQuery != "":
		return nil, fmt.Errorf("%s must not contain a query or a fragment", field)
	}
	return at, nil
}

// ParseSecretURL parses a URL that is a secret as a whole, so it may have a query.
func ParseSecretURL(text string) (*url.URL, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "":
		return nil, errors.New("must be a URL, for example http://prometheus.monitoring.svc:9090")
	case at.User != nil:
		return nil, errors.New("must not contain a user or a password: use httpConfig.basic_auth")
	case at.Fragment != "":
		return nil, errors.New("must not contain a query or a fragment")
	}
	return at, nil
}
