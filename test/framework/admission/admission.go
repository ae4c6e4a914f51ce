// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package admission has edits of the sample that the API server refuses, and edits that it accepts. Some tests send them
// to a real API server, others to code that must give the same verdict without one.
package admission

import (
	"fmt"
	"maps"
	"strings"

	"sigs.k8s.io/yaml"
)

const duration = "must be a positive duration, for example 10s, 5m or 1h30m"

// Steps returns an edit that replaces the steps.
func Steps(list string) string { return "spec.steps: " + list }

// match returns an edit to a single header route with one match.
func match(fields string) string {
	return Steps(`[{setHeaderRoute: {name: qa, matches: [` + fields + `]}}]`)
}

// Container returns an edit to a template with one container, with a name and an image unless the fields set them.
func Container(fields string) string {
	return `spec.template.spec: {containers: [{name: a, image: b, ` + fields + `}]}`
}

// Case is an edit that is refused, and a part of the message.
type Case = struct{ Edits, Want string }

// Refused has edits that break the sample in one way each, with a part of the message, which must say what to write
// instead.
var Refused = union(refusedRollouts, refusedAnalyses)

// Accepted has edits that must not be refused along with the bad.
var Accepted = union(acceptedRollouts, acceptedAnalyses)

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

var refusedRollouts = map[string]Case{
	"name of 47 characters": {"metadata.name: " + strings.Repeat("a", 47), "metadata.name must be at most 46 characters long"},
	"no spec":               {"spec: absent", "spec: Required value"},
	"typo":                  {"spec.trafic: {}", `unknown field "spec.trafic"`},

	"negative replicas":              {"spec.replicas: -1", "greater than or equal to 0"},
	"replicas beyond int32":          {"spec.replicas: 2147483648", "should be less than or equal to 2147483647"},
	"negative minReadySeconds":       {"spec.minReadySeconds: -1", "greater than or equal to 0"},
	"negative revisionHistoryLimit":  {"spec.revisionHistoryLimit: -1", "greater than or equal to 0"},
	"large revisionHistoryLimit":     {"spec.revisionHistoryLimit: 101", "less than or equal to 100"},
	"negative scaleDownDelaySeconds": {"spec.scaleDownDelaySeconds: -1", "greater than or equal to 0"},
	"progressDeadlineSeconds 0":      {"spec.progressDeadlineSeconds: 0", "greater than or equal to 1"},
	"deadline before readiness":      {"spec.minReadySeconds: 600", "progressDeadlineSeconds must be larger than minReadySeconds"},
	"deadline before settling":       {"spec.traffic.settleSeconds: 600", "progressDeadlineSeconds must be larger than traffic.settleSeconds"},
	"paused in words":                {`spec.paused: "yes"`, "must be of type boolean"},

	"no selector":                  {"spec.selector: absent", "spec.selector: Required value"},
	"no matchLabels":               {"spec.selector: {}", "spec.selector.matchLabels: Required value"},
	"empty matchLabels":            {"spec.selector: {matchLabels: {}}", "should have at least 1 properties"},
	"matchExpressions":             {"spec.selector.matchExpressions: []", `unknown field "spec.selector.matchExpressions"`},
	"selector beside the template": {"spec.selector: {matchLabels: {app: other}}", "add the same labels to the template"},
	"selector of a missing label":  {"spec.selector: {matchLabels: {app: reviews, tier: web}}", "add the same labels to the template"},
	"template without labels":      {"spec.template.metadata: absent", "add the same labels to the template"},
	"selector with the hash": {"spec.selector: {matchLabels: {app: reviews, pod-template-hash: abc}}",
		"matchLabels must not contain pod-template-hash"},
	"selector with a bad value": {`spec.selector: {matchLabels: {app: "a b"}}`, "should match '^(([A-Za-z0-9]"},

	"no traffic":            {"spec.traffic: absent", "spec.traffic: Required value"},
	"no stable Service":     {"spec.traffic.stableService: absent", "spec.traffic.stableService: Required value"},
	"no canary Service":     {"spec.traffic.canaryService: absent", "spec.traffic.canaryService: Required value"},
	"the same Service":      {"spec.traffic.canaryService: reviews-stable", "must be two different Services"},
	"Service in capitals":   {"spec.traffic.stableService: Reviews", "must be the name of a Service"},
	"canary in capitals":    {"spec.traffic.canaryService: Reviews", "must be the name of a Service"},
	"Service with a domain": {"spec.traffic.stableService: reviews.default", "must be the name of a Service"},
	"empty Service":         {`spec.traffic.stableService: ""`, "at least 1 chars long"},
	"long Service":          {"spec.traffic.stableService: " + strings.Repeat("a", 64), "may not be more than 63"},
	"no routes":             {"spec.traffic.routes: absent", "spec.traffic.routes: Required value"},
	"empty routes":          {"spec.traffic.routes: []", "should have at least 1 items"},
	"17 routes":             {"spec.traffic.routes: [" + repeat(17, "{name: r%d}") + "]", "must have at most 16 items"},
	"a route twice":         {"spec.traffic.routes: [{name: a}, {kind: HTTPRoute, name: a}]", "Duplicate value"},
	"route of another kind": {"spec.traffic.routes: [{kind: Ingress, name: a}]", `supported values: "HTTPRoute"`},
	"route without a name":  {"spec.traffic.routes: [{kind: HTTPRoute}]", "name: Required value"},
	"route with a bad name": {"spec.traffic.routes: [{name: a_b}]", "must be the name of a route"},
	"route elsewhere":       {"spec.traffic.routes: [{name: a, namespace: b}]", `unknown field "spec.traffic.routes[0].namespace"`},
	"negative settling":     {"spec.traffic.settleSeconds: -1", "greater than or equal to 0"},
	"settling for hours":    {"spec.traffic.settleSeconds: 3601", "less than or equal to 3600"},

	"two verbs in a step":    {Steps("[{setWeight: 10, pause: {}}]"), "a step must have exactly one of"},
	"no verb in a step":      {Steps("[{}]"), "a step must have exactly one of"},
	"unknown verb in a step": {Steps("[{setMirror: {}}]"), `unknown field "spec.steps[0].setMirror"`},
	"65 steps":               {Steps("[" + repeat(65, "{setWeight: %d}") + "]"), "must have at most 64 items"},
	"weight 101":             {Steps("[{setWeight: 101}]"), "less than or equal to 100"},
	"weight -1":              {Steps("[{setWeight: -1}]"), "greater than or equal to 0"},
	"weight 12.5":            {Steps("[{setWeight: 12.5}]"), "must be of type integer"},
	"weight as text":         {Steps(`[{setWeight: "10"}]`), "must be of type integer"},

	"scale of nothing":         {Steps("[{setCanaryScale: {}}]"), "setCanaryScale must have exactly one of"},
	"scale of a mode alone":    {Steps("[{setCanaryScale: {mode: Exact}}]"), "setCanaryScale must have exactly one of"},
	"scale of two":             {Steps("[{setCanaryScale: {replicas: 1, weight: 10}}]"), "setCanaryScale must have exactly one of"},
	"scale of negative pods":   {Steps("[{setCanaryScale: {replicas: -1}}]"), "greater than or equal to 0"},
	"scale of 101 percent":     {Steps("[{setCanaryScale: {weight: 101}}]"), "less than or equal to 100"},
	"scale of -1 percent":      {Steps("[{setCanaryScale: {weight: -1}}]"), "greater than or equal to 0"},
	"scale not by weight":      {Steps("[{setCanaryScale: {matchTrafficWeight: false}}]"), "matchTrafficWeight can only be true"},
	"mode of matching":         {Steps("[{setCanaryScale: {matchTrafficWeight: true, mode: Exact}}]"), "mode has no meaning with matchTrafficWeight"},
	"mode that does not exist": {Steps("[{setCanaryScale: {replicas: 1, mode: Pinned}}]"), `supported values: "Minimum", "Exact"`},

	"pause of 0s":               {Steps("[{pause: {duration: 0s}}]"), duration},
	"pause of -10s":             {Steps("[{pause: {duration: -10s}}]"), duration},
	"pause of a day":            {Steps("[{pause: {duration: 1d}}]"), duration},
	"pause of a bare number":    {Steps(`[{pause: {duration: "10"}}]`), duration},
	"pause of a number":         {Steps("[{pause: {duration: 10}}]"), "must be of type string"},
	"pause beyond the calendar": {Steps("[{pause: {duration: 9999999999h}}]"), duration},
	"timeout of 0s":             {Steps("[{pause: {timeout: 0s, onTimeout: Abort}}]"), duration},
	"timeout without an end":    {Steps("[{pause: {timeout: 1h}}]"), "timeout and onTimeout must be set together"},
	"end without a timeout":     {Steps("[{pause: {onTimeout: Abort}}]"), "timeout and onTimeout must be set together"},
	"timeout beside duration":   {Steps("[{pause: {duration: 1m, timeout: 1h, onTimeout: Abort}}]"), "remove one of them"},
	"end that does not exist":   {Steps("[{pause: {timeout: 1h, onTimeout: Wait}}]"), `supported values: "Abort", "Promote"`},

	"probe without a url":    {"spec.traffic.probe: {revisionHeader: X-Revision}", "url: Required value"},
	"probe without a header": {"spec.traffic.probe: {url: 'http://gateway/reviews'}", "revisionHeader: Required value"},
	"probe of a file":        {"spec.traffic.probe: {url: 'file:///etc/passwd', revisionHeader: X-Revision}", "must be the URL of a page"},
	"probe of no host":       {"spec.traffic.probe: {url: 'http:///reviews', revisionHeader: X-Revision}", "must be the URL of a page"},
	"probe with a password":  {"spec.traffic.probe: {url: 'http://me:secret@gateway/reviews', revisionHeader: X-Revision}", "must not contain a user or a password"},
	"probe without PEM":      {"spec.traffic.probe: {url: 'https://gateway/', revisionHeader: X-Revision, caBundle: x}", "must contain certificates in PEM"},
	"probe of a bad host":    {"spec.traffic.probe: {url: 'http://gateway/reviews', host: 'a b', revisionHeader: X-Revision}", "must be the name of a host"},
	"probe of a bad header":  {"spec.traffic.probe: {url: 'http://gateway/reviews', revisionHeader: 'X Revision'}", "must be the name of a header"},

	"mirror without a percentage": {Steps("[{setMirrorRoute: {}}]"), "percent: Required value"},
	"mirror of 101 percent":       {Steps("[{setMirrorRoute: {percent: 101}}]"), "less than or equal to 100"},
	"mirror of -1 percent":        {Steps("[{setMirrorRoute: {percent: -1}}]"), "greater than or equal to 0"},
	"mirror and weight":           {Steps("[{setMirrorRoute: {percent: 10}, setWeight: 10}]"), "a step must have exactly one of"},

	"mirror beside a TCPRoute": {Steps("[{setMirrorRoute: {percent: 10}}]") + "\nspec.traffic.routes: [{kind: TCPRoute, name: a}]",
		"carries no requests that setMirrorRoute could copy"},
	"header route beside a TLSRoute": {match("{method: GET}") + "\nspec.traffic.routes: [{name: a}, {kind: TLSRoute, name: a}]",
		"has nothing that setHeaderRoute could match"},

	"header route without a name":    {Steps("[{setHeaderRoute: {}}]"), "name: Required value"},
	"header route with a bad name":   {Steps("[{setHeaderRoute: {name: Q A}}]"), "must be lower case letters, digits and dashes"},
	"removal of what is never made":  {Steps("[{setHeaderRoute: {name: qa}}]"), "no step creates one of that name"},
	"removal of another name":        {Steps("[{setHeaderRoute: {name: qa, matches: [{method: GET}]}}, {setHeaderRoute: {name: aq}}]"), "no step creates one of that name"},
	"9 matches":                      {match(repeat(9, "{headers: [{name: h%d, value: a}]}")), "must have at most 8 items"},
	"empty match":                    {match("{}"), "an empty match would send every request to the canary"},
	"match without headers":          {match("{headers: []}"), "should have at least 1 items"},
	"match without query parameters": {match("{queryParams: []}"), "should have at least 1 items"},
	"header without a value":         {match("{headers: [{name: role}]}"), "value: Required value"},
	"header with a space":            {match("{headers: [{name: my role, value: qa}]}"), "should match '^[A-Za-z0-9!#$%&'*+"},
	"header twice":                   {match("{headers: [{name: role, value: qa}, {name: role, value: dev}]}"), "Duplicate value"},
	"header by prefix":               {match("{headers: [{name: role, value: qa, type: Prefix}]}"), `supported values: "Exact", "RegularExpression"`},
	"query parameter twice":          {match("{queryParams: [{name: a, value: b}, {name: a, value: c}]}"), "Duplicate value"},
	"query parameter with a space":   {match("{queryParams: [{name: a b, value: c}]}"), "should match '^[A-Za-z0-9!#$%&'*+"},
	"method that does not exist":     {match("{method: FETCH}"), "Unsupported value"},
	"match by path":                  {match("{path: {value: /}}"), `unknown field "spec.steps[0].setHeaderRoute.matches[0].path"`},

	"no template":               {"spec.template: absent", "spec.template: Required value"},
	"template without a spec":   {"spec.template.spec: absent", "template.spec.containers must have at least one container"},
	"template without a list":   {"spec.template.spec: {}", "containers: Required value"},
	"template of no containers": {"spec.template.spec: {containers: []}", "template.spec.containers must have at least one container"},
	"container without a name":  {"spec.template.spec: {containers: [{image: a}]}", "name: Required value"},
	"container with a bad name": {"spec.template.spec: {containers: [{name: A_B, image: a}]}", "should match '^[a-z0-9]("},
	"container twice":           {"spec.template.spec: {containers: [{name: a, image: a}, {name: a, image: b}]}", "Duplicate value"},
	"container without image":   {"spec.template.spec: {containers: [{name: a}]}", "every container must have an image"},
	"container of empty image":  {Container(`image: ""`), "every container must have an image"},
	"init container likewise":   {"spec.template.spec.initContainers: [{name: a}]", "every init container must have an image"},
	"restartPolicy":             {"spec.template.spec.restartPolicy: OnFailure", "restartPolicy must be Always"},
	"activeDeadlineSeconds":     {"spec.template.spec.activeDeadlineSeconds: 60", "activeDeadlineSeconds is not allowed in a ReplicaSet"},
	"ephemeral containers":      {"spec.template.spec.ephemeralContainers: [{name: a, image: b}]", "ephemeralContainers are added to running pods"},
	"template with the hash": {"spec.template.metadata.labels: {app: reviews, pod-template-hash: abc}",
		"labels must not contain pod-template-hash"},
	"label with a bad name":   {`spec.template.metadata.labels: {app: reviews, "a b": c}`, "the name of a label must be"},
	"label with a bad prefix": {`spec.template.metadata.labels: {app: reviews, "a/b/c": d}`, "the name of a label must be"},
	"label with a bad value":  {`spec.template.metadata.labels: {app: reviews, a: "b c"}`, "should match '^(([A-Za-z0-9]"},
	"label with a long value": {"spec.template.metadata.labels: {app: reviews, a: " + strings.Repeat("b", 64) + "}", "may not be more than 63"},
}

// RefusedTemplates are stored, since the schema leaves the template as it is. The operator holds such a release: the dry run
// of the ReplicaSet refuses it. Want is a part of its message, and of what lint says.
var RefusedTemplates = map[string]Case{
	"typo in the template": {"spec.template.spec.nodeselector: {}", `unknown field "spec.template.spec.nodeselector"`},
	"typo in a container":  {Container("readinesProbe: {}"), `unknown field "spec.template.spec.containers[0].readinesProbe"`},
	"quantity in words":    {Container("resources: {limits: {memory: plenty}}"), "quantities must match the regular expression"},
	"port in words":        {Container("ports: [{containerPort: http}]"), "cannot unmarshal string into Go struct field"},
}

var acceptedRollouts = map[string]string{
	"sample":                    "spec.replicas: 4",
	"name of 46 characters":     "metadata.name: " + strings.Repeat("a", 46),
	"no replicas":               "spec.replicas: 0",
	"no steps":                  "spec.steps: absent",
	"empty steps":               Steps("[]"),
	"64 steps":                  Steps("[" + repeat(64, "{setWeight: %d}") + "]"),
	"weights 0 and 100":         Steps("[{setWeight: 0}, {setWeight: 100}]"),
	"every scale":               Steps("[{setCanaryScale: {replicas: 0}}, {setCanaryScale: {weight: 100, mode: Exact}}, {setCanaryScale: {matchTrafficWeight: true}}]"),
	"a probe":                   "spec.traffic.probe: {url: 'https://gateway.infra.svc:8443/reviews?a=b@c', host: www.bookinfo.com, revisionHeader: X-Revision}",
	"every mirror":              Steps("[{setMirrorRoute: {percent: 100}}, {setMirrorRoute: {percent: 0}}]"),
	"every pause":               Steps("[{pause: {}}, {pause: {duration: 1h30m0.5s}}, {pause: {duration: 100ms}}, {pause: {timeout: 24h, onTimeout: Promote}}]"),
	"every match":               match("{headers: [{name: X-Role, value: qa}], queryParams: [{name: a, value: b.*, type: RegularExpression}], method: POST}, {method: GET}"),
	"removal before the making": Steps("[{setHeaderRoute: {name: qa, matches: []}}, {setHeaderRoute: {name: qa, matches: [{method: GET}]}}, {setHeaderRoute: {name: qa}}]"),
	"16 routes":                 "spec.traffic.routes: [" + repeat(16, "{name: r%d}") + "]",
	"weights of connections":    Steps("[{setWeight: 10}]") + "\nspec.traffic.routes: [{kind: TCPRoute, name: a}, {kind: TLSRoute, name: a}]",
	"route with a domain":       "spec.traffic.routes: [{name: bookinfo.example.com}]",
	"settling at once":          "spec.traffic.settleSeconds: 0",
	"restartPolicy Always":      "spec.template.spec.restartPolicy: Always",
	"more labels":               "spec.template.metadata.labels: {app: reviews, app.kubernetes.io/name: reviews, empty: \"\"}",
	"one port, two protocols":   Container("ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}]"),
	"secret without a name":     "spec.template.spec.imagePullSecrets: [{}]",
	"quantity without quotes":   Container("resources: {limits: {cpu: 1.5}}"),
	"creationTimestamp null":    "spec.template.metadata: {creationTimestamp: null, labels: {app: reviews}}",
	"label null":                "spec.template.metadata: {labels: {app: reviews, version: null}}",
	"a host alias twice":        `spec.template.spec.hostAliases: [{ip: 10.0.0.1, hostnames: [a]}, {ip: 10.0.0.1, hostnames: [b]}]`,
	"empty restartPolicy":       `spec.template.spec.restartPolicy: ""`,
	"quantities":                Container("resources: {limits: {cpu: \"1.5\", memory: 1Gi, ephemeral-storage: 1e9, a/b: 1}}"),
	"ports by name and number":  Container("readinessProbe: {httpGet: {port: http}}, livenessProbe: {tcpSocket: {port: 9080}}"),
}

// repeat joins n copies of format, each with its index.
func repeat(n int, format string) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return strings.Join(list, ", ")
}

// Edit sets fields of an object: each line of edits is a dotted path and its value in YAML, as in "spec.replicas: 3". The
// value "absent" removes the field.
func Edit(object map[string]any, edits string) error {
	for line := range strings.Lines(edits) {
		path, text, ok := strings.Cut(line, ": ")
		if !ok {
			return fmt.Errorf("%q is not an edit", line)
		}
		fields := strings.Split(strings.TrimSpace(path), ".")
		parent := object
		for _, field := range fields[:len(fields)-1] {
			parent = parent[field].(map[string]any)
		}
		last := fields[len(fields)-1]
		if text = strings.TrimSpace(text); text == "absent" {
			delete(parent, last)
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		parent[last] = value
	}
	return nil
}
