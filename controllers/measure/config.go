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

	"github.com/prometheus/common/model"

	"github.com/canaryrollout/canaryrollout/controllers/endpoint"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// The defaults of a provider.
const (
	defaultScrapeInterval = 15 * time.Second
	// defaultDelay is longer than nearly all targets take for a scrape. A sample has the time at which its scrape began, and can be
	// queried when the scrape has ended. If a comparison is made in between, the sample is in neither of two adjacent intervals, and
	// what it counted is lost.
	defaultDelay = time.Second
)

// providerConfig is an entry of the file of providers.
type providerConfig struct {
	endpoint.Config `yaml:",inline"`
	// Prometheus and Web are its kind: exactly one is set.
	Prometheus *prometheusConfig `yaml:"prometheus"`
	Web        *webConfig        `yaml:"web"`
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
	providers := Providers{byName: map[string]*provider{}}
	err := endpoint.Parse(content, "provider", func(c providerConfig) (err error) {
		providers.byName[c.Name], err = newProvider(c, directory)
		return err
	})
	return providers, err
}

// complete sets the defaults of a kind and returns the URL.
func (c *providerConfig) complete() (*url.URL, error) {
	if (c.Prometheus == nil) == (c.Web == nil) {
		return nil, errors.New("it must have exactly one of prometheus and web")
	}
	if c.Web != nil {
		return endpoint.ParseURL("web.url", c.Web.URL)
	}
	if c.Prometheus.ScrapeInterval == 0 {
		c.Prometheus.ScrapeInterval = model.Duration(defaultScrapeInterval)
	}
	return endpoint.ParseURL("prometheus.url", c.Prometheus.URL)
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
