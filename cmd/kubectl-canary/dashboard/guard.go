// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"crypto/rand"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guard lets only the user's own browser in. Any web page that the user has open can send requests to a loopback port, and any
// other user of the machine can connect to it; neither knows the token.
type guard struct {
	// isOurs reports whether a value of the Host header is ours. A page of another name that resolves to our address (DNS
	// rebinding) has another one.
	isOurs func(host string) bool
	// schemes are those of our origin.
	schemes []string
	// unknownHost says what to do about a request with another Host header.
	unknownHost string
	// token is in the first URL, and then in a cookie; empty if a proxy has authenticated the user.
	token string
	// cookie is the name of the cookie. It contains the port, since cookies of all ports of a host are in one jar.
	cookie string
	next   http.Handler
}

// loopbackHosts returns the values of the Host header for a port of this machine. Browsers leave out the default port.
func loopbackHosts(port string) []string {
	var hosts []string
	for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
		hosts = append(hosts, net.JoinHostPort(host, port))
	}
	if port == "80" {
		hosts = append(hosts, "127.0.0.1", "localhost", "[::1]")
	}
	return hosts
}

// hostName returns a value of the Host header without its port, in lower case.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// newToken returns a token with at least 128 bits of randomness.
func newToken() string { return rand.Text() }

// tokenParameter is the query parameter of the first URL.
const tokenParameter = "token"

// policy allows what is served from here, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for key, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Cache-Control":                "no-store",
	} {
		w.Header().Set(key, value)
	}
	if !g.isOurs(r.Host) {
		http.Error(w, g.unknownHost, http.StatusMisdirectedRequest)
		return
	}
	if why := g.foreign(r); why != "" {
		http.Error(w, why, http.StatusForbidden)
		return
	}
	if g.token == "" {
		g.next.ServeHTTP(w, r)
		return
	}
	if token := r.URL.Query().Get(tokenParameter); token != "" && r.URL.Path == "/" {
		g.admit(w, r, token)
		return
	}
	if cookie, err := r.Cookie(g.cookie); err != nil || !g.isToken(cookie.Value) {
		http.Error(w, "open the URL that kubectl canary dashboard printed: it contains the token of this dashboard", http.StatusUnauthorized)
		return
	}
	g.next.ServeHTTP(w, r)
}

// admit exchanges the token in the URL for a cookie, so that it does not stay in the address bar.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, token string) {
	if r.Method != http.MethodGet || !g.isToken(token) {
		http.Error(w, "this token is not valid: the dashboard was started again; open the URL that it printed last", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	// A redirect would follow a link from another site without the cookie, which is for the same site only. A page that loads
	// itself again is a navigation of ours.
	w.Header().Set("Refresh", "0; url=/")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("Opening the dashboard.\n")) // the browser has gone
}

func (g *guard) isToken(value string) bool {
	return subtle.ConstantTimeCompare([]byte(value), []byte(g.token)) == 1
}

// foreign returns why a request does not come from our own page; empty if it may. Browsers set these headers, and pages cannot.
func (g *guard) foreign(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		parsed, err := url.Parse(origin)
		if err != nil || !slices.Contains(g.schemes, parsed.Scheme) || parsed.Host != r.Host {
			return "requests of other origins are refused"
		}
	}
	// Anybody may open the first URL. Its token is all that counts.
	if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		if r.URL.Path != "/" || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
			return "requests of other sites are refused"
		}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return ""
	}
	// A form can send neither this type nor a header of its own; a script of another origin would need our permission for both.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "a change must be sent as application/json"
	}
	if r.Header.Get(csrfHeader) == "" {
		return "a change must have the header " + csrfHeader
	}
	return ""
}

// csrfHeader is set by our page for every change.
const csrfHeader = "X-Canary-Dashboard"
