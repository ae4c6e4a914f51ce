// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestGuard sends what pages of other sites, other users of the machine and rebound names can send. Only the own page gets through.
func TestGuard(t *testing.T) {
	b := newBench(t, Options{}, interceptor.Funcs{}, paused(t))
	act := "/api/rollouts/shop/reviews/act"
	for name, test := range map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"the page":                 {"GET", "/", nil, http.StatusOK},
		"the page, without cookie": {"GET", "/", without("Cookie"), http.StatusUnauthorized},
		"data, without cookie":     {"GET", "/api/rollouts", without("Cookie"), http.StatusUnauthorized},
		"a wrong token":            {"GET", "/?token=guess", nil, http.StatusUnauthorized},
		"a wrong cookie":           {"GET", "/", header("Cookie", b.cookie[:strings.Index(b.cookie, "=")+1]+newToken()), http.StatusUnauthorized},
		"another name":             {"GET", "/", host("attacker.example:80"), http.StatusMisdirectedRequest},
		"another port":             {"GET", "/", host("127.0.0.1:1"), http.StatusMisdirectedRequest},
		"no port":                  {"GET", "/", host("localhost"), http.StatusMisdirectedRequest},
		"another origin":           {"GET", "/page.js", header("Origin", "http://attacker.example"), http.StatusForbidden},
		"another port's origin":    {"POST", act, header("Origin", "http://127.0.0.1:1"), http.StatusForbidden},
		"no origin at all":         {"POST", act, header("Origin", "null"), http.StatusForbidden},
		"another site's script":    {"GET", "/page.js", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"another port's script":    {"GET", "/page.js", header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"another site's change":    {"POST", act, header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"a form":                   {"POST", act, header("Content-Type", "text/plain"), http.StatusForbidden},
		"without our header":       {"POST", act, without(csrfHeader), http.StatusForbidden},
		"our change":               {"POST", act, header("Origin", b.url), http.StatusBadRequest}, // it says nothing
		"another method":           {"DELETE", "/api/rollouts", header("Content-Type", "application/json"), http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			body := any(nil)
			if test.method == "POST" {
				body = map[string]any{"verb": 1}
			}
			status, head, content := b.do(test.method, b.url+test.path, body, test.change)
			if status != test.want {
				t.Errorf("status %d, not %d: %s", status, test.want, content)
			}
			if got := head.Get("Content-Security-Policy"); got != policy {
				t.Errorf("the content security policy is %q", got)
			}
			if got := head.Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("scripts of %s may read this", got)
			}
		})
	}
	if got := b.stored(); len(got.Annotations) > 0 {
		t.Errorf("something was written: %v", got.Annotations)
	}
}

func header(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

// without removes a header.
func without(key string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(key) }
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func TestCookie(t *testing.T) {
	b := newBench(t, Options{}, interceptor.Funcs{})
	status, head, content := b.do(http.MethodGet, b.first, nil, nil)
	cookie := head.Get("Set-Cookie")
	if status != http.StatusOK || head.Get("Refresh") == "" {
		t.Errorf("status %d: %s", status, content)
	}
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie lacks %s: %s", want, cookie)
		}
	}
	if strings.Contains(content, "token") {
		t.Errorf("the answer repeats the token: %s", content)
	}
}

func TestLoopbackOnly(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Run(ctx, listener, Options{}, nil); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("error %v", err)
	}
}

// TestBehindProxy checks what is left to check if a proxy has authenticated the user: names and origins. There are no actions.
func TestBehindProxy(t *testing.T) {
	b := newBench(t, Options{}, interceptor.Funcs{}, paused(t))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	options := Options{Client: b.client, Now: func() time.Time { return now }}
	go func() {
		ended <- RunBehindProxy(t.Context(), listener, options, []string{"Canaries.example.com", "::1"}, func() error { return nil })
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	b.url, b.cookie = "http://"+listener.Addr().String(), ""
	name := "canaries.example.com"
	named := func(others ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, change := range append([]func(*http.Request){host(name)}, others...) {
				change(r)
			}
		}
	}
	for what, test := range map[string]struct {
		method, path string
		change       func(*http.Request)
		want         int
	}{
		"the page":                  {"GET", "/", named(), http.StatusOK},
		"any port":                  {"GET", "/page.js", host(name + ":8443"), http.StatusOK},
		"an address":                {"GET", "/page.js", host("[::1]:8080"), http.StatusOK},
		"our origin":                {"GET", "/page.js", named(header("Origin", "https://"+name)), http.StatusOK},
		"the page, from a sign-in":  {"GET", "/", named(header("Sec-Fetch-Site", "same-site"), header("Sec-Fetch-Mode", "navigate")), http.StatusOK},
		"a probe":                   {"GET", healthPath, host("10.244.0.7:8080"), http.StatusOK},
		"another name":              {"GET", "/", host("attacker.example"), http.StatusMisdirectedRequest},
		"the address of the pod":    {"GET", "/", nil, http.StatusMisdirectedRequest},
		"another origin":            {"GET", "/page.js", named(header("Origin", "https://attacker.example")), http.StatusForbidden},
		"another site's script":     {"GET", "/page.js", named(header("Sec-Fetch-Site", "cross-site")), http.StatusForbidden},
		"another site's background": {"GET", "/", named(header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Mode", "no-cors")), http.StatusForbidden},
		"a preview":                 {"POST", "/api/rollouts/shop/reviews/preview", named(), http.StatusMethodNotAllowed},
		"an action":                 {"POST", "/api/rollouts/shop/reviews/act", named(), http.StatusMethodNotAllowed},
	} {
		t.Run(what, func(t *testing.T) {
			status, head, content := b.do(test.method, b.url+test.path, request{Verb: verbAbort}, test.change)
			if status != test.want {
				t.Errorf("status %d, not %d: %s", status, test.want, content)
			}
			if head.Get("Set-Cookie") != "" || test.path != healthPath && head.Get("Content-Security-Policy") != policy {
				t.Errorf("the header is %v", head)
			}
		})
	}
	if got := b.stored(); len(got.Annotations) > 0 {
		t.Errorf("something was written: %v", got.Annotations)
	}
}

// TestDefaultPort checks that a dashboard on port 80 knows the name that browsers send, which has no port.
func TestDefaultPort(t *testing.T) {
	for port, want := range map[string]bool{"80": true, "8080": false} {
		for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
			if got := slices.Contains(loopbackHosts(port), host); got != want {
				t.Errorf("port %s: %s is ours: %t", port, host, got)
			}
		}
	}
	if !slices.Contains(loopbackHosts("8080"), "[::1]:8080") {
		t.Error("[::1]:8080 is not ours")
	}
}
