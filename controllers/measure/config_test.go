// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

// TestLoadProviders reads a file as an administrator writes it. Names of files are relative to it, and a file of credentials is
// read again for each request, because Secrets are rotated.
func TestLoadProviders(t *testing.T) {
	var credentials string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		credentials = r.Header.Get("Authorization") + " " + r.Header.Get("X-Scope-OrgID")
		_, _ = w.Write([]byte(one))
	}))
	t.Cleanup(server.Close)
	directory := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("token", "first")
	write("providers.yaml", `
- name: default
  prometheus:
    url: `+server.URL+`
    scrapeInterval: 5s
    delay: 2s
  timeout: 3s
  requestsPerSecond: 2
  httpConfig:
    authorization: {credentials_file: token}
    http_headers: {X-Scope-OrgID: {values: [shop]}}
- name: other
  prometheus: {url: 'http://other'}
- name: immediate
  prometheus: {url: 'http://immediate', delay: 0s}
- name: checks
  web: {url: 'https://checks.infra.svc/api'}
`)
	providers, err := LoadProviders(filepath.Join(directory, "providers.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRunner(providers, nil)
	want := map[string]plan.Provider{
		"default":   {Prometheus: true, ScrapeInterval: 5 * time.Second, Delay: 2 * time.Second},
		"other":     {Prometheus: true, ScrapeInterval: 15 * time.Second, Delay: time.Second},
		"immediate": {Prometheus: true, ScrapeInterval: 15 * time.Second},
		"checks":    {Web: true},
	}
	if got := r.Providers(); !maps.Equal(got, want) {
		t.Errorf("providers %+v, want %+v", got, want)
	}
	p := providers.byName["default"]
	if p.Requests.Limit() != 2 || p.Timeout != 3*time.Second {
		t.Errorf("%v requests per second, timeout %v", p.Requests.Limit(), p.config.Timeout)
	}
	for _, token := range []string{"first", "second"} {
		write("token", token)
		if got := p.threshold(t.Context(), &plan.ThresholdRequest{Query: "up", Max: "1"}); got.Outcome != plan.OutcomeGood || credentials != "Bearer "+token+" shop" {
			t.Errorf("%+v with the credentials %q, want %q", got, credentials, token)
		}
	}
}

// TestInvalidProviders checks that a mistake in the file is an error that names file, provider and field, and that no password is
// repeated in it.
func TestInvalidProviders(t *testing.T) {
	const secret = "s3cr3t"
	for name, tc := range map[string]struct{ content, want string }{
		"empty":               {"", ""},
		"no list":             {"name: default", "cannot unmarshal"},
		"an unknown field":    {"[{name: default, prometheus: {url: 'http://a', interval: 5s}}]", "field interval not found"},
		"an unknown option":   {"[{name: default, httpConfig: {token: " + secret + "}, prometheus: {url: 'http://a'}}]", "field token not found"},
		"no name":             {"[{prometheus: {url: 'http://a'}}]", `provider 1: name is ""`},
		"a bad name":          {"[{name: De_fault, prometheus: {url: 'http://a'}}]", `provider 1: name is "De_fault"`},
		"twice":               {"[{name: a, web: {url: 'http://a'}}, {name: a, web: {url: 'http://a'}}]", "provider a: name is used twice"},
		"no kind":             {"[{name: a}]", "provider a: it must have exactly one of prometheus and web"},
		"two kinds":           {"[{name: a, web: {url: 'http://a'}, prometheus: {url: 'http://a'}}]", "provider a: it must have exactly one of prometheus and web"},
		"no URL":              {"[{name: a, web: {}}]", "provider a: web.url must be a URL"},
		"another scheme":      {"[{name: a, prometheus: {url: 'file:///etc'}}]", "provider a: prometheus.url must be a URL"},
		"a password":          {"[{name: a, prometheus: {url: 'http://me:" + secret + "@a'}}]", "provider a: prometheus.url must not contain a user or a password"},
		"a broken URL":        {"[{name: a, prometheus: {url: 'http://me:" + secret + "@a:b%'}}]", "provider a: prometheus.url must be a URL"},
		"a query":             {"[{name: a, prometheus: {url: 'http://a?x=y'}}]", "provider a: prometheus.url must not contain a query"},
		"a long timeout":      {"[{name: a, timeout: 2m, web: {url: 'http://a'}}]", "provider a: timeout is 2m: it must be at most 1m0s"},
		"no duration":         {"[{name: a, timeout: 5, web: {url: 'http://a'}}]", "not a valid duration"},
		"a rate":              {"[{name: a, requestsPerSecond: -1, web: {url: 'http://a'}}]", "provider a: requestsPerSecond is -1"},
		"not a number":        {"[{name: a, requestsPerSecond: .nan, web: {url: 'http://a'}}]", "provider a: requestsPerSecond is NaN"},
		"two credentials":     {"[{name: a, httpConfig: {basic_auth: {username: x}, authorization: {credentials: x}}, web: {url: 'http://a'}}]", "at most one of basic_auth, oauth2 & authorization"},
		"a missing authority": {"[{name: a, httpConfig: {tls_config: {ca_file: missing}}, web: {url: 'https://a'}}]", "provider a: httpConfig: "},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "providers.yaml")
			if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadProviders(file)
			switch {
			case (err == nil) != (tc.want == ""):
				t.Errorf("%v, want %q", err, tc.want)
			case err != nil && (!strings.HasPrefix(err.Error(), file+": ") || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret)):
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if _, err := LoadProviders("missing.yaml"); err == nil || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}
