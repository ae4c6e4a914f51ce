// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/canaryrollout/canaryrollout/test/framework/sample"
)

func sampleFiles(tb testing.TB) []Source {
	tb.Helper()
	var sources []Source
	for _, name := range []string{"canaryrollout.yaml", "httproute.yaml", "services.yaml"} {
		content, err := os.ReadFile(sample.Path(name))
		if err != nil {
			tb.Fatal(err)
		}
		sources = append(sources, Source{name, content})
	}
	return sources
}

func TestSampleIsClean(t *testing.T) {
	manifests, found := read(t, sampleFiles(t)...)
	if found = append(found, manifests.Check()...); len(found) > 0 {
		t.Error(lines(found))
	}
}

// TestCheck breaks the sample's files in one way at a time, by replacing text.
func TestCheck(t *testing.T) {
	tests := map[string]struct {
		file, old, new string
		want           []string
	}{
		"Service is not there": {"services.yaml", "name: reviews-stable", "name: other",
			[]string{"canaryrollout.yaml:1: spec.traffic.stableService: note: Service reviews-stable is not in these files: not checked"}},
		"Service elsewhere": {"services.yaml", "name: reviews-stable\n", "name: reviews-stable\n  namespace: shop\n",
			nil}, // the rollout has no namespace: it may be applied there
		"selector of other pods": {"services.yaml", "  selector:\n    app: reviews\n---", "  selector:\n    app: ratings\n---",
			[]string{"services.yaml:1: spec.selector: Service reviews-stable selects pods by app=ratings, which spec.template.metadata.labels does not have: add the label to the template, or remove it from the selector"}},
		"selector with the hash": {"services.yaml", "  selector:\n    app: reviews\n---", "  selector:\n    app: reviews\n    pod-template-hash: abc\n---",
			nil},
		"no selector": {"services.yaml", "  selector:\n    app: reviews\n---", "---",
			[]string{"services.yaml:1: spec.selector: Service reviews-stable has no selector: give it one that selects the pods of this rollout"}},
		"selector that is none": {"services.yaml", "  selector:\n    app: reviews\n---", "  selector: reviews\n---",
			[]string{"services.yaml:1: spec.selector: a selector has names and values: .spec.selector accessor error: reviews is of the type string, expected map[string]interface{}"}},
		"route is not there": {"httproute.yaml", "name: bookinfo-reviews", "name: other",
			[]string{"canaryrollout.yaml:1: spec.traffic.routes[0]: note: HTTPRoute bookinfo-reviews is not in these files: not checked"}},
		"route without a Gateway": {"httproute.yaml", "  parentRefs:\n  - group: gateway.networking.k8s.io\n    kind: Gateway\n    name: http-gateway\n", "",
			[]string{"httproute.yaml:1: spec.parentRefs: warning: HTTPRoute bookinfo-reviews has no parentRefs, so a weight is verified only if another route delegates to it: otherwise name a Gateway in parentRefs"}},
		"route without the pair": {"httproute.yaml", "name: reviews-canary", "name: reviews-next",
			[]string{"httproute.yaml:1: spec.rules: no rule of HTTPRoute bookinfo-reviews names both Services: put backendRefs to reviews-stable and to reviews-canary into the same rule"}},
		"pair in another namespace": {"httproute.yaml", "name: reviews-canary", "name: reviews-canary\n      namespace: shop",
			[]string{"httproute.yaml:1: spec.rules: note: the backendRefs name namespace shop, so these files must be applied to it: -n shop checks them for it"}},
		"group in words": {"httproute.yaml", "group: \"\"\n      kind: Service\n      name: reviews-canary", "group: core\n      kind: Service\n      name: reviews-canary", nil},
		"port that is not routed": {"services.yaml", "  - port: 9080\n", "  - port: 80\n",
			[]string{"services.yaml:1: spec.ports: Service reviews-stable has no port 9080, which HTTPRoute bookinfo-reviews sends requests to"}},
		"target port by number": {"services.yaml", "    name: http\n", "    name: http\n    targetPort: 1\n", nil},
		"target port by name":   {"services.yaml", "    name: http\n", "    name: http\n    targetPort: http\n", nil},
		"target port of no container": {"services.yaml", "    name: http\n", "    name: http\n    targetPort: web\n",
			[]string{"services.yaml:1: spec.ports[0].targetPort: no container of the template of reviews has a port named web for TCP: endpoints of Service reviews-stable would lack it, and requests fail"}},
		"target port of another protocol": {"services.yaml", "    name: http\n", "    name: http\n    targetPort: http\n    protocol: UDP\n",
			[]string{"services.yaml:1: spec.ports[0].targetPort: no container of the template of reviews has a port named http for UDP: endpoints of Service reviews-stable would lack it, and requests fail"}},
		"target port of an init container": {"canaryrollout.yaml", "      containers:\n      - name: reviews\n", "      initContainers:\n      - name: proxy\n        image: proxy\n        ports: [{name: web, containerPort: 1}]\n      containers:\n      - name: reviews\n", nil},
		"ports that are none": {"services.yaml", "  ports:\n  - port: 9080\n    name: http\n", "  ports: {a: b}\n",
			[]string{"services.yaml:1: spec.ports: Service reviews-stable has no port 9080, which HTTPRoute bookinfo-reviews sends requests to"}},
		"ExternalName": {"services.yaml", "spec:\n  ports:", "spec:\n  type: ExternalName\n  externalName: example.com\n  ports:",
			[]string{"services.yaml:1: spec.type: Service reviews-stable is an ExternalName, which selects no pods: remove type and externalName"}},
		"expression": {"canaryrollout.yaml", "type: Exact\n          name: role\n          value: qa", "type: RegularExpression\n          name: role\n          value: q(a",
			[]string{`canaryrollout.yaml:1: spec.steps[1].setHeaderRoute.matches[0].headers[0].value: "q(a" is not a valid regular expression (RE2): missing closing )`}},
		"Argo": {"services.yaml", "apiVersion: v1\n", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: old}\n---\napiVersion: v1\n",
			[]string{"services.yaml:1: note: not checked: Rollout old is an object of Argo: kubectl canary convert converts it"}},
		"Flagger": {"services.yaml", "apiVersion: v1\n", "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: old}\n---\napiVersion: v1\n",
			[]string{"services.yaml:1: note: not checked: Canary old is an object of Flagger: kubectl canary convert converts it"}},
		"weights too coarse": {"httproute.yaml", "      weight: 100\n", "      weight: 3\n    - name: legacy\n      port: 9080\n      weight: 1\n",
			[]string{"httproute.yaml:1: spec.rules: HTTPRoute bookinfo-reviews: the weights of the rule with the Services and other backends are too coarse for the steps: multiply every weight of that rule by 10"}},
		"header route against the rule": {"httproute.yaml", "        value: /reviews\n", "        value: /reviews\n      headers:\n      - name: role\n        value: dev\n",
			[]string{"canaryrollout.yaml:1: spec.steps[1].setHeaderRoute: no request can match header route qa in HTTPRoute bookinfo-reviews, because its rules match the same header, query parameter or method by a different value: change setHeaderRoute"}},
		"risky": {"canaryrollout.yaml", "  replicas: 4", "  replicas: 1",
			[]string{"canaryrollout.yaml:1: spec.replicas: warning: with one replica, a canary of any weight is one pod, and if one of the two pods fails, nothing serves its share: set replicas to 2 or more"}},
		"unknown version": {"canaryrollout.yaml", "canaryrollout.dev/v1alpha1", "canaryrollout.dev/v1",
			[]string{"canaryrollout.yaml:1: apiVersion: there is no CanaryRollout in canaryrollout.dev/v1: write apiVersion: canaryrollout.dev/v1alpha1 and kind: CanaryRollout"}},
		"unknown metadata": {"canaryrollout.yaml", "  labels:\n    app: reviews\nspec", "  label:\n    app: reviews\nspec",
			[]string{`canaryrollout.yaml:1: metadata.label: unknown field "metadata.label": did you mean labels?`}},
		"no name": {"canaryrollout.yaml", "  name: reviews\n  labels:", "  labels:",
			[]string{"canaryrollout.yaml:1: metadata.name: Required value: name or generateName is required", "canaryrollout.yaml:1: note: more rules are checked when these errors are corrected"}},
		"bad name": {"canaryrollout.yaml", "  name: reviews\n  labels:", "  name: Reviews\n  labels:",
			[]string{"canaryrollout.yaml:1: metadata.name: Invalid value: \"Reviews\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"}},
		"a key twice": {"canaryrollout.yaml", "  replicas: 4", "  replicas: 4\n  replicas: 5",
			[]string{`canaryrollout.yaml:1: this is no YAML: unmarshal errors: line 12: key "replicas" already set in map`}},
		"no YAML": {"services.yaml", "spec:\n  ports:", "spec: [\n  ports:", []string{"services.yaml:1: this is no YAML: line 13: did not find expected node content",
			"canaryrollout.yaml:1: spec.traffic.stableService: note: Service reviews-stable is not in these files: not checked"}},
		"no object": {"services.yaml", "apiVersion: v1\nkind: Service\n", "", []string{"services.yaml:1: this is not a Kubernetes object: apiVersion or kind is missing",
			"canaryrollout.yaml:1: spec.traffic.stableService: note: Service reviews-stable is not in these files: not checked"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sources := sampleFiles(t)
			for i := range sources {
				if sources[i].Name == tc.file {
					text := string(sources[i].Content)
					if !strings.Contains(text, tc.old) {
						t.Fatalf("%s has no %q", tc.file, tc.old)
					}
					sources[i].Content = []byte(strings.Replace(text, tc.old, tc.new, 1))
				}
			}
			manifests, found := read(t, sources...)
			var got []string
			for _, finding := range append(found, manifests.Check()...) {
				got = append(got, finding.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings differ (-want +got):\n%s", diff)
			}
		})
	}
}

const two = `
apiVersion: v1
kind: List
items:
- apiVersion: canaryrollout.dev/v1alpha1
  kind: CanaryRollout
  metadata: {name: a, namespace: NAMESPACE}
  spec: &spec
    selector: {matchLabels: {app: a}}
    replicas: 4
    template: {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: b}]}}
    traffic: {stableService: a-stable, canaryService: a-canary, routes: [{name: r}]}
    steps: [{pause: {}}]
- apiVersion: canaryrollout.dev/v1alpha1
  kind: CanaryRollout
  metadata: {name: b, namespace: shop}
  spec: *spec
- {apiVersion: v1, kind: Service, metadata: {name: a-stable, namespace: elsewhere}, spec: {selector: {app: a}}}
`

func TestRivals(t *testing.T) {
	for namespace, want := range map[string]int{"shop": 2, "other": 0, `""`: 2} {
		manifests, found := read(t, Source{"two.yaml", []byte(strings.ReplaceAll(two, "NAMESPACE", namespace))})
		conflicts := 0
		if len(manifests.Rollouts) != 2 {
			t.Fatal(lines(found))
		}
		for _, finding := range manifests.Check() {
			if finding.ID == "ServiceConflict" {
				conflicts++
			}
		}
		if conflicts != want {
			t.Errorf("%s: got %d conflicts, want %d", namespace, conflicts, want)
		}
	}
}

func TestServiceInAnotherNamespace(t *testing.T) {
	manifests, _ := read(t, Source{"two.yaml", []byte(strings.ReplaceAll(two, "NAMESPACE", "other"))})
	const want = "two.yaml:1: spec.traffic.stableService: Service a-stable is in namespace elsewhere, and the rollout in other: " +
		"Services, routes and rollout must be in one namespace"
	if got := lines(manifests.Check()); !strings.Contains(got, want+"\n") {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestNamespaceOfCommandLine checks that -n is the namespace of objects without one, and that objects of another
// namespace are rejected, as kubectl does.
func TestNamespaceOfCommandLine(t *testing.T) {
	sources := sampleFiles(t)
	for i := range sources {
		text := strings.ReplaceAll(string(sources[i].Content), "name: reviews-canary\n      port", "name: reviews-canary\n      namespace: shop\n      port")
		sources[i].Content = []byte(text)
	}
	for namespace, want := range map[string]string{
		"shop":  "",
		"books": "httproute.yaml:1: spec.rules[0]: HTTPRoute bookinfo-reviews spec.rules[0] names reviews-stable and reviews-canary in two namespaces",
	} {
		manifests, found, err := Read(t.Context(), sources, namespace)
		if err != nil {
			t.Fatal(err)
		}
		got := lines(append(found, manifests.Check()...))
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("-n %s: got\n%swant\n%s", namespace, got, want)
		}
	}
	_, found, err := Read(t.Context(), []Source{{"two.yaml", []byte(strings.ReplaceAll(two, "NAMESPACE", "other"))}}, "shop")
	const want = "two.yaml:1: metadata.namespace: the namespace is other, and -n says shop: kubectl refuses an object of another namespace\n"
	if got := lines(found); err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("got %v\n%swant\n%s", err, got, want)
	}
}

// TestKeysLikePaths checks that a key that looks like a path into the template is reported as an unknown field and
// causes no panic.
func TestKeysLikePaths(t *testing.T) {
	for _, place := range []string{"  template:\n", "    spec:\n"} {
		for _, key := range []string{"spec[0].x", "metadata[0].x", "[0]", "a.b", "containers[0][0].x", "containers[0].x.y"} {
			sources := sampleFiles(t)
			text := string(sources[0].Content)
			line := place + strings.Repeat(" ", strings.Index(place, strings.TrimSpace(place))+2) + `"` + key + "\": 1\n"
			sources[0].Content = []byte(strings.Replace(text, place, line, 1))
			_, found := read(t, sources...)
			if len(found) != 1 || found[0].ID != IDUnknownField || !strings.HasSuffix(found[0].Path, "."+key) {
				t.Errorf("%q below %q: got\n%s", key, place, lines(found))
			}
		}
	}
}

func TestDocumentsAreCounted(t *testing.T) {
	const stream = "# licence\n---\n# still nothing\n---\nkind: List\napiVersion: v1\nitems: []\n---\r\n\n---\n{\n--- # a comment\nkind: A\n"
	_, found := read(t, Source{"a.yaml", []byte(stream)})
	var got []int
	for _, finding := range found {
		got = append(got, finding.Document)
	}
	if diff := cmp.Diff([]int{2, 3}, got); diff != "" {
		t.Errorf("documents differ (-want +got):\n%s\n%s", diff, lines(found))
	}
}
