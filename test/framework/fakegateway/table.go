// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package fakegateway

import (
	"cmp"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A table is what the data path routes by. It is never changed, only replaced.
type table struct{ entries []entry }

// An entry is one match of a rule for one hostname.
type entry struct {
	host  string // empty for any; *.example.com for any subdomain
	match match
	rule  *rule
	// These fields order entries that are otherwise equal.
	created time.Time
	route   string
	number  int // of the match in the route
}

// A rule is where matching requests go.
type rule struct {
	backends []backend
	headers  []gatewayv1.HTTPHeaderFilter
	mirrors  []mirror
	timeout  time.Duration
	// turns guards the credits of the backends.
	turns sync.Mutex
}

// A mirror is a backend that receives a copy of some requests.
type mirror struct {
	backend
	// numerator of every "of" requests are mirrored.
	numerator, of int
}

// A backend is a resolved backendRef.
type backend struct {
	name      string
	weight    int
	addresses []string
	// service is its name in metrics.
	service string
	// problem is why it cannot be resolved; its share of requests is then answered with 500.
	problem *problem
	// credit is how much of its weight it has not used yet.
	credit int
}

// newTable sorts the matches of all routes in the order in which they are tried.
func newTable(routes []*gatewayv1.HTTPRoute, known *backends) *table {
	t := &table{}
	for _, route := range routes {
		t.add(route, known)
	}
	slices.SortStableFunc(t.entries, precedence)
	return t
}

func (t *table) add(route *gatewayv1.HTTPRoute, known *backends) {
	hosts := route.Spec.Hostnames
	if len(hosts) == 0 {
		hosts = []gatewayv1.Hostname{""}
	}
	number := 0
	for i := range route.Spec.Rules {
		made := newRule(&route.Spec.Rules[i], route.Namespace, known)
		for _, m := range matchesOf(&route.Spec.Rules[i]) {
			compiled, err := compileMatch(m)
			if err != nil {
				continue // refusalOf rejects such a route, so it never gets here
			}
			for _, host := range hosts {
				t.entries = append(t.entries, entry{
					host: strings.ToLower(string(host)), match: compiled, rule: made,
					created: route.CreationTimestamp.Time, route: route.Namespace + "/" + route.Name, number: number,
				})
			}
			number++
		}
	}
}

// matchesOf is never empty: a rule without matches accepts every path.
func matchesOf(r *gatewayv1.HTTPRouteRule) []gatewayv1.HTTPRouteMatch {
	if len(r.Matches) == 0 {
		return []gatewayv1.HTTPRouteMatch{{}}
	}
	return r.Matches
}

func newRule(r *gatewayv1.HTTPRouteRule, namespace string, known *backends) *rule {
	made := &rule{}
	for _, filter := range r.Filters {
		if filter.RequestHeaderModifier != nil {
			made.headers = append(made.headers, *filter.RequestHeaderModifier)
		}
		if filter.RequestMirror != nil {
			made.mirrors = append(made.mirrors, newMirror(filter.RequestMirror, namespace, known))
		}
	}
	if r.Timeouts != nil && r.Timeouts.Request != nil {
		made.timeout, _ = time.ParseDuration(string(*r.Timeouts.Request)) // a subset of Go's format, so it can be parsed
	}
	for _, ref := range r.BackendRefs {
		addresses, problem := known.resolve(ref.BackendObjectReference, namespace)
		made.backends = append(made.backends, backend{
			name: string(ref.Name), weight: int(ptr.Deref(ref.Weight, 1)), addresses: addresses, problem: problem,
			service: serviceLabel(namespace, ref.BackendObjectReference),
		})
	}
	return made
}

func newMirror(f *gatewayv1.HTTPRequestMirrorFilter, namespace string, known *backends) mirror {
	addresses, problem := known.resolve(f.BackendRef, namespace)
	made := mirror{backend{name: string(f.BackendRef.Name), addresses: addresses, problem: problem}, 1, 1}
	if f.Percent != nil {
		made.numerator, made.of = int(*f.Percent), 100
	}
	if f.Fraction != nil {
		made.numerator, made.of = int(f.Fraction.Numerator), int(ptr.Deref(f.Fraction.Denominator, 100))
	}
	return made
}

// precedence is the order of the Gateway API: the more specific hostname, then the more specific match, then the
// older route, then its name, then the earlier match.
func precedence(a, b entry) int {
	return cmp.Or(
		slices.Compare(hostRank(b.host), hostRank(a.host)),
		slices.Compare(b.match.rank[:], a.match.rank[:]),
		a.created.Compare(b.created),
		cmp.Compare(a.route, b.route),
		cmp.Compare(a.number, b.number),
	)
}

func hostRank(host string) []int {
	if host == "" || strings.HasPrefix(host, "*.") {
		return []int{0, len(host)}
	}
	return []int{1, len(host)}
}

// find returns the rule for a request, or nil if none matches.
func (t *table) find(r *http.Request) *rule {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	for i := range t.entries {
		if e := &t.entries[i]; covers(e.host, host) && e.match.holds(r) {
			return e.rule
		}
	}
	return nil
}

// covers reports whether a hostname matches a pattern. The asterisk stands for one or more labels.
func covers(pattern, host string) bool {
	suffix, isWildcard := strings.CutPrefix(pattern, "*")
	if isWildcard {
		return len(host) > len(suffix) && strings.HasSuffix(host, suffix)
	}
	return pattern == "" || pattern == host
}

// choose picks the backends in turn by their weights, evenly spread: the share of each is always close to its weight,
// so a measured share reflects the weight and not chance. It returns nil if all weights are zero.
func (r *rule) choose() *backend {
	r.turns.Lock()
	defer r.turns.Unlock()
	total, next := 0, (*backend)(nil)
	for i := range r.backends {
		b := &r.backends[i]
		total += b.weight
		if b.credit += b.weight; b.weight > 0 && (next == nil || b.credit > next.credit) {
			next = b
		}
	}
	if next != nil {
		next.credit -= total
	}
	return next
}
