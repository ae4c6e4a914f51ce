// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// TestRefusals: invalid values are refused before anything is installed, with the name of the value.
func TestRefusals(t *testing.T) {
	tests := map[string]struct{ set, want string }{
		"a misspelt value":             {"replica=3", "additional properties 'replica' not allowed"},
		"a misspelt value in a group":  {"crds.instal=true", "at '/crds': additional properties 'instal' not allowed"},
		"negative replicas":            {"replicas=-1", "at '/replicas': minimum: got -1, want 0"},
		"no shard":                     {"shards=0", "at '/shards': minimum: got 0, want 1"},
		"a shard":                      {`extraArgs=["--shard=0/2"]`, "the chart itself sets --shard; the value for it is shards"},
		"replicas in words":            {`replicas="two"`, "at '/replicas': got string, want integer"},
		"a string for a switch":        {`crds.keep="yes"`, "at '/crds/keep': got string, want boolean"},
		"no image":                     {`image.repository=""`, "at '/image/repository': minLength"},
		"an image with its tag":        {`image.repository="shop/canaryrollout:v1"`, "say the tag in image.tag"},
		"an image with its digest":     {`image.repository="shop/canaryrollout@sha256:0"`, "the digest in image.digest"},
		"half a digest":                {`image.digest="sha256:0123"`, "at '/image/digest': 'sha256:0123' does not match pattern"},
		"no pull policy":               {`image.pullPolicy="Sometimes"`, "must be one of 'Always', 'IfNotPresent', 'Never'"},
		"two namespaces in one":        {`watchNamespaces=["shop,books"]`, "at '/watchNamespaces/0': 'shop,books' does not match pattern"},
		"a namespace for the list":     {`watchNamespaces="shop"`, "at '/watchNamespaces': got string, want array"},
		"a namespace twice":            {`watchNamespaces=["shop", "shop"]`, "at '/watchNamespaces': items at 0 and 1 are equal"},
		"a log level":                  {`log.level="loud"`, "must be one of 'error', 'info', 'debug'"},
		"a number of another type":     {`podLabels={"tier": 1}`, "at '/podLabels/tier': got number, want string"},
		"a flag without dashes":        {`extraArgs=["kube-api-qps=9"]`, "at '/extraArgs/0': 'kube-api-qps=9' does not match pattern"},
		"a flag that is a value":       {`extraArgs=["--namespace=shop"]`, "the chart itself sets --namespace; the value for it is watchNamespaces"},
		"a flag with one dash":         {`extraArgs=["-leader-elect=false"]`, "the chart itself sets --leader-elect"},
		"a service account of nobody":  {"serviceAccount.create=false", "say in serviceAccount.name which one"},
		"a budget that allows nothing": {"podDisruptionBudget.minAvailable=2", "is 2, so 2 of 2 replicas must stay: no node could be drained"},
		"a share rounded up to all":    {`podDisruptionBudget.minAvailable="51%"`, "is 51%, so 2 of 2 replicas must stay: no node could be drained"},
		"the same of more replicas":    {`replicas=9,podDisruptionBudget.minAvailable="89%"`, "is 89%, so 9 of 9 replicas must stay"},
		"a monitor of nothing":         {`metrics={"enabled": false},serviceMonitor={"enabled": true}`, "serviceMonitor.enabled needs metrics.enabled"},
		"an interval":                  {`serviceMonitor.interval="soon"`, "at '/serviceMonitor/interval': 'soon' does not match pattern"},
		"a reader without a namespace": {`metrics.readers=[{"name": "prometheus"}]`, "at '/metrics/readers/0': missing property 'namespace'"},
		"an unset spread":              {`topologySpreadConstraints=[{"topologyKey": "zone"}]`, "missing properties 'maxSkew', 'whenUnsatisfiable'"},
		"a peer that is none":          {`networkPolicy.metricsFrom=[{"namespace": "monitoring"}]`, "additional properties 'namespace' not allowed"},
		"two hosts in one":             {`probeAllow=["a,b"]`, "at '/probeAllow/0': 'a,b' does not match pattern"},
		"a provider without a name":    {`metricProviders=[{"web": {"url": "http://a"}}]`, "at '/metricProviders/0': missing property 'name'"},
		"a provider's misspelt option": {`metricProviders=[{"name": "a", "web": {"url": "http://a"}, "timeuot": "3s"}]`, "additional properties 'timeuot' not allowed"},
		"a provider's address":         {`metricProviders=[{"name": "a", "prometheus": {"url": "prometheus:9090"}}]`, "'prometheus:9090' does not match pattern"},
		"a sink's misspelt option":     {`notificationSinks=[{"name": "a", "slack": {"url": "http://a", "channel": "x"}}]`, "additional properties 'channel' not allowed"},
		"a file of sinks":              {`extraArgs=["--notification-sinks=/x"]`, "the chart itself sets --notification-sinks; the value for it is notificationSinks"},
		"a file of providers":          {`extraArgs=["--metric-providers=/x"]`, "the chart itself sets --metric-providers; the value for it is metricProviders"},
		"a dashboard without a name":   {"dashboard.enabled=true", "dashboard.enabled needs dashboard.hosts"},
		"a URL for a host":             {`dashboard.hosts=["https://a.example"]`, "at '/dashboard/hosts/0': 'https://a.example' does not match pattern"},
		"no port of the API server":    {"networkPolicy.apiServerPorts=[]", "at '/networkPolicy/apiServerPorts': minItems: got 0, want 1"},
	}
	for name, tc := range tests {
		output, err := template(t, "--set-json="+tc.set)
		if err == nil {
			t.Errorf("%s: %s was taken:\n%.300s", name, tc.set, output)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %s is refused by\n%v\nwhich does not say %q", name, tc.set, err, tc.want)
		}
	}
}

// TestBudgets: a budget that allows a pod to be drained is rendered as written, and a disabled budget is not checked.
func TestBudgets(t *testing.T) {
	tests := map[string]struct{ set, want string }{
		"a number":                    {"podDisruptionBudget.minAvailable=1", "minAvailable: 1"},
		"a share without a rest":      {`podDisruptionBudget.minAvailable="50%"`, "minAvailable: 50%"},
		"a share rounded up to fewer": {`replicas=9,podDisruptionBudget.minAvailable="88%"`, "minAvailable: 88%"},
		"no pod in percent":           {`podDisruptionBudget.minAvailable="0%"`, "minAvailable: 0%"},
		"no budget for one replica":   {`replicas=1,podDisruptionBudget.minAvailable="99%"`, ""},
		"no budget at all":            {`podDisruptionBudget={"enabled": false, "minAvailable": "99%"}`, ""},
	}
	for name, tc := range tests {
		output, err := template(t, "--set-json="+tc.set)
		if err != nil {
			t.Errorf("%s: %s is refused: %v", name, tc.set, err)
			continue
		}
		if got := regexp.MustCompile("minAvailable: .*").FindString(output); got != tc.want {
			t.Errorf("%s: %s renders %q, want %q", name, tc.set, got, tc.want)
		}
	}
}

// TestValuesAreDescribed: every value has one sentence directly above it, and the schema has exactly the existing
// values.
func TestValuesAreDescribed(t *testing.T) {
	text := read(t, helm.Chart()+"/values.yaml")
	lines := strings.Split(text, "\n")
	key := regexp.MustCompile(`^( {0,2})([a-zA-Z]+):(.*)$`)
	sentence := regexp.MustCompile(`^ *# [A-Z].*\.$`)
	for i, line := range lines {
		match := key.FindStringSubmatch(line)
		isGroup := match != nil && match[1] == "" && match[3] == "" && strings.HasPrefix(lines[i+1], "  #")
		if match == nil || isGroup || isBelow(lines[:i], "resources", "tlsConfig", "topologySpreadConstraints") {
			continue
		}
		if !sentence.MatchString(lines[i-1]) {
			t.Errorf("the value %s has no sentence above it, but %q", match[2], lines[i-1])
		}
	}
	values, schema := map[string]any{}, map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(read(t, helm.Chart()+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	compareWithSchema(t, "", values, schema)
}

// isBelow reports whether the lines end within one of these values, which have the format of a pod field.
func isBelow(lines []string, keys ...string) bool {
	for i := len(lines) - 1; i >= 0 && lines[i] != "" && !strings.HasPrefix(lines[i], "#"); i-- {
		for _, key := range keys {
			if lines[i] == key+":" {
				return true
			}
		}
	}
	return false
}

func compareWithSchema(t *testing.T, path string, values, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		if _, ok := values[name]; !ok && !(path == "" && name == "global") {
			t.Errorf("the schema has %s.%s, which values.yaml does not tell of", path, name)
		}
	}
	for name, value := range values {
		property, ok := properties[name].(map[string]any)
		if !ok {
			t.Errorf("the schema has no %s.%s", path, name)
			continue
		}
		group, isGroup := value.(map[string]any)
		switch {
		case !isGroup || property["$ref"] != nil:
		case property["additionalProperties"] != false:
			t.Errorf("%s.%s may have any properties: a misspelt one would not be refused", path, name)
		case len(group) > 0 && name != "tlsConfig":
			compareWithSchema(t, path+"."+name, group, property)
		}
	}
}
