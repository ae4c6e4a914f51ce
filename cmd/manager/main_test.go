// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/canaryrollout/canaryrollout/controllers/probe"
)

// parse parses flags as the program does.
func parse(t *testing.T, args ...string) *options {
	t.Helper()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	o := newOptions(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestTimings checks that timings that would let two managers lead at once, or a lease outlive its process, are
// rejected, and that the error names the flag.
func TestTimings(t *testing.T) {
	const lease, renew, retry, shutdown = "--leader-election-lease-duration", "--leader-election-renew-deadline",
		"--leader-election-retry-period", "--shutdown-timeout"
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the defaults":             {nil, ""},
		"slower":                   {[]string{lease + "=60s", renew + "=40s", retry + "=5s", shutdown + "=1s"}, ""},
		"a deadline after the end": {[]string{lease + "=10s"}, lease + " is 10s: it must be longer than " + renew + ", 10s"},
		"a late last renewal":      {[]string{renew + "=13s"}, lease + " is 15s: it must be longer than " + renew + ", 13s, and " + retry + ", 2s, together"},
		"a part of a second":       {[]string{lease + "=12500ms"}, lease + " is 12.5s: it must be in whole seconds"},
		"one retry":                {[]string{renew + "=2400ms"}, retry + " is 2s: it must be above 0, and 1.2 times it below " + renew + ", 2.4s"},
		"no retry":                 {[]string{retry + "=0s"}, retry + " is 0s"},
		"no time to end":           {[]string{shutdown + "=0s"}, shutdown + " is 0s"},
	} {
		err := parse(t, tc.args...).validate()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestLimits: without flags, nothing limits the requests to the API server: it shares itself out. Zero, which client-go takes for
// five requests a second, is rejected.
func TestLimits(t *testing.T) {
	for want, args := range map[bool][]string{false: nil, true: {"--kube-api-qps=20"}} {
		config := parse(t, args...).connection(&rest.Config{ContentConfig: rest.ContentConfig{NegotiatedSerializer: clientgoscheme.Codecs}})
		client, err := rest.UnversionedRESTClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		if isLimited := client.GetRateLimiter() != nil; isLimited != want {
			t.Errorf("%v: requests are limited: %t, want %t", args, isLimited, want)
		}
	}
	for _, arg := range []string{"--kube-api-qps=0", "--kube-api-burst=0", "--max-concurrent-reconciles=-1"} {
		flag, _, _ := strings.Cut(arg, "=")
		if err := parse(t, arg).validate(); err == nil || !strings.HasPrefix(err.Error(), flag+" is ") {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

// TestUncompressed: the API server would compress each event of a watch, which costs more than it saves.
func TestUncompressed(t *testing.T) {
	var accepted []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		accepted = append(accepted, r.Header.Get("Accept-Encoding"))
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	client, err := rest.HTTPClientFor(parse(t).connection(config))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(accepted, []string{""}) {
		t.Errorf("the manager accepts the encodings %q, want none", accepted)
	}
}

// TestNamespaces checks that an empty list means the whole cluster, and that a typo is rejected instead of meaning
// everything or nothing.
func TestNamespaces(t *testing.T) {
	for value, want := range map[string]string{"": "", "shop": "shop", "shop,books": "shop books"} {
		o := parse(t, "--namespace="+value)
		if err := o.complete(); err != nil || strings.Join(o.namespaces, " ") != want {
			t.Errorf("--namespace=%s is %v, %v", value, o.namespaces, err)
		}
	}
	for _, value := range []string{",", "shop,", "shop, books", "Shop"} {
		if err := parse(t, "--namespace="+value).complete(); err == nil || !strings.Contains(err.Error(), "is no name of a namespace") {
			t.Errorf("--namespace=%s: %v", value, err)
		}
	}
}

// TestSharedMetrics checks that a name that no namespace can have is rejected, instead of being watched in vain.
func TestSharedMetrics(t *testing.T) {
	for value, valid := range map[string]bool{"": true, "canaryrollout-system": true, "a/b": false} {
		if err := parse(t, "--shared-metrics-namespace="+value).complete(); (err == nil) != valid {
			t.Errorf("--shared-metrics-namespace=%s: %v", value, err)
		}
	}
}

// TestProbeAllow checks that an empty value allows nothing, as the flag's help says. An empty list entry is an error.
func TestProbeAllow(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"empty":            {[]string{"--probe-allow="}, ""},
		"twice":            {[]string{"--probe-allow=", "--probe-allow=a.svc,10.0.0.0/8"}, ""},
		"a comma too many": {[]string{"--probe-allow=a.svc,,b.svc"}, "is empty"},
		"a last comma":     {[]string{"--probe-allow=a.svc,"}, "is empty"},
		"a comma alone":    {[]string{"--probe-allow=,"}, "is empty"},
	} {
		_, err := probe.ParseAllow(parse(t, tc.args...).probeAllow...)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestFiles checks that a file of providers or of sinks that cannot be used stops the start, with an error that names the flag.
func TestFiles(t *testing.T) {
	if permissions, err := parse(t, "--allow-jobs").permissions(); err != nil || !permissions.Jobs {
		t.Errorf("permissions %+v, %v", permissions, err)
	}
	file := filepath.Join(t.TempDir(), "providers.yaml")
	if err := os.WriteFile(file, []byte("[{name: default}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "--metric-providers: " + file + ": provider default: it must have exactly one of prometheus and web"
	if _, err := parse(t, "--metric-providers="+file).permissions(); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
	want = "--notification-sinks: " + file + ": sink default: it must have exactly one of cloudEvents and slack"
	if _, err := parse(t, "--notification-sinks="+file).permissions(); err == nil || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
