// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// The defaults of a provider.
const (
	defaultScrapeInterval = 15 * time.Second
	// defaultDelay is longer than nearly all targets take for a scrape. A sample has the time at which its scrape began, and can be
	// queried when the scrape has ended. If a comparison is made in between, the sample is in neither of two adjacent intervals, and
	// what it counted is lost.
	defaultDelay             = time.Second
	defaultTimeout           = 10 * time.Second
	defaultRequestsPerSecond = 10
	// maxTimeout keeps a provider that hangs from holding its workers.
	maxTimeout = time.Minute
	// maxProviders bounds the queues and the workers.
	maxProviders = 100
)

// providerConfig is an entry of the file of providers.
type providerConfig struct {
	// Name is how rollouts name the provider.
	Name string `yaml:"name"`
	// Prometheus and Web are its kind: exactly one is set.
	Prometheus *prometheusConfig `yaml:"prometheus"`
	Web        *webConfig        `yaml:"web"`
	// Timeout is how long a request may take.
	Timeout model.Duration `yaml:"timeout"`
	// RequestsPerSecond limits the requests of all rollouts together.
	RequestsPerSecond float64 `yaml:"requestsPerSecond"`
	// HTTPConfig is the http_config of Prometheus: TLS, credentials and headers.
	HTTPConfig *config.HTTPClientConfig `yaml:"httpConfig"`
}

type prometheusConfig struct {
	// URL is the address of the HTTP API, without /api/v1.
	URL string `yaml:"url"`
	// ScrapeInterval is how old the newest samples may be.
	ScrapeInterval model.Duration `yaml:"scrapeInterval"`
	// Delay is how long samples take until they can be queried; defaultDelay if it is nil.
	Delay *model.Duration `yaml:"delay"`
}

type webConfig struct {
	// URL is the address that the paths of rollouts are below.
	URL string `yaml:"url"`
}

func (c *providerConfig) delay() time.Duration {
	switch {
	case c.Prometheus == nil:
		return 0
	case c.Prometheus.Delay == nil:
		return defaultDelay
	default:
		return time.Duration(*c.Prometheus.Delay)
	}
}

// Providers are the metric providers that the administrator has named.
type Providers struct{ byName map[string]*provider }

// LoadProviders reads the file of providers: a list in YAML. Relative names of files in it are relative to its directory.
func LoadProviders(file string) (Providers, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Providers{}, err
	}
	providers, err := parseProviders(content, filepath.Dir(file))
	if err != nil {
		return Providers{}, fmt.Errorf("%s: %w", file, err)
	}
	return providers, nil
}

func parseProviders(content []byte, directory string) (Providers, error) {
	var configs []providerConfig
	if err := yaml.UnmarshalStrict(content, &configs); err != nil {
		return Providers{}, err
	}
	if len(configs) > maxProviders {
		return Providers{}, fmt.Errorf("there are %d providers: the limit is %d", len(configs), maxProviders)
	}
	providers := Providers{byName: map[string]*provider{}}
	for i, c := range configs {
		if problems := validation.IsDNS1123Label(c.Name); len(problems) > 0 {
			return Providers{}, fmt.Errorf("provider %d: name is %q: %s", i+1, c.Name, problems[0])
		}
		if providers.byName[c.Name] != nil {
			return Providers{}, fmt.Errorf("provider %s: name is used twice", c.Name)
		}
		p, err := newProvider(c, directory)
		if err != nil {
			return Providers{}, fmt.Errorf("provider %s: %w", c.Name, err)
		}
		providers.byName[c.Name] = p
	}
	return providers, nil
}

// complete sets the defaults and rejects what cannot work. It returns the URL.
func (c *providerConfig) complete(directory string) (*url.URL, error) {
	if (c.Prometheus == nil) == (c.Web == nil) {
		return nil, errors.New("it must have exactly one of prometheus and web")
	}
	if c.Timeout == 0 {
		c.Timeout = model.Duration(defaultTimeout)
	}
	if c.Timeout > model.Duration(maxTimeout) {
		return nil, fmt.Errorf("timeout is %s: it must be at most %s", c.Timeout, maxTimeout)
	}
	if c.RequestsPerSecond == 0 {
		c.RequestsPerSecond = defaultRequestsPerSecond
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
	if c.Web != nil {
		return parseURL("web.url", c.Web.URL)
	}
	if c.Prometheus.ScrapeInterval == 0 {
		c.Prometheus.ScrapeInterval = model.Duration(defaultScrapeInterval)
	}
	return parseURL("prometheus.url", c.Prometheus.URL)
}

// parseURL does not repeat the URL in its error, because it may have a password.
func parseURL(field, text string) (*url.URL, error) {
	at, err := url.Parse(text)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "":
		return nil, fmt.Errorf("%s must be a URL, for example http://prometheus.monitoring.svc:9090", field)
	case at.User != nil:
		return nil, fmt.Errorf("%s must not contain a user or a password: use httpConfig.basic_auth", field)
	case at.RawQuery != "" || at.Fragment != "":
		return nil, fmt.Errorf("%s must not contain a query or a fragment", field)
	}
	return at, nil
}

// known returns the providers as plans see them.
func (p Providers) known() map[string]plan.Provider {
	if len(p.byName) == 0 {
		return nil
	}
	known := map[string]plan.Provider{}
	for name, provider := range p.byName {
		seen := plan.Provider{Prometheus: provider.config.Prometheus != nil, Web: provider.config.Web != nil}
		if seen.Prometheus {
			seen.ScrapeInterval = time.Duration(provider.config.Prometheus.ScrapeInterval)
			seen.Delay = provider.config.delay()
		}
		known[name] = seen
	}
	return known
}
