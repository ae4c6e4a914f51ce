// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

// Source is a file with manifests.
type Source struct {
	Name    string
	Content []byte
}

// Manifests are the objects of all sources.
type Manifests struct {
	// Rollouts are those that the API server would accept, with defaults set.
	Rollouts []Rollout
	// Metrics are the CanaryMetrics that the API server would accept, with defaults set.
	Metrics []Metric

	services, routes []object
	// namespace is the value of -n, for objects without a namespace.
	namespace string
}

// Rollout is a CanaryRollout and its place in the sources.
type Rollout struct {
	*v1alpha1.CanaryRollout
	place object
}

// Metric is a CanaryMetric and its place in the sources.
type Metric struct {
	*v1alpha1.CanaryMetric
	place object
}

// object is one object of a document.
type object struct {
	*unstructured.Unstructured
	file     string
	document int
}

// find returns a finding about the object.
func (o object) find(severity Severity, id, path, message string) Finding {
	name := o.GetName()
	if o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	return Finding{
		Severity: severity, ID: id, File: o.file, Document: o.document, Object: strings.TrimSpace(o.GetKind() + " " + name),
		Path: path, Message: message,
	}
}

// Read parses all sources and checks each CanaryRollout and each CanaryMetric on its own. Objects without a namespace get the given one,
// which is empty if it is unknown.
func Read(ctx context.Context, sources []Source, namespace string) (*Manifests, []Finding, error) {
	manifests, found := &Manifests{namespace: namespace}, []Finding{}
	for _, source := range sources {
		objects, findings := parse(source)
		found = append(found, findings...)
		for _, object := range objects {
			findings, err := manifests.add(ctx, object)
			if err != nil {
				return nil, nil, err
			}
			found = append(found, findings...)
		}
	}
	return manifests, found, nil
}

// add adds an object to the list of its kind. Other kinds are ignored.
func (m *Manifests) add(ctx context.Context, o object) ([]Finding, error) {
	group, _, _ := strings.Cut(o.GetAPIVersion(), "/")
	switch {
	case o.GetAPIVersion() == "" || o.GetKind() == "":
		return []Finding{o.find(Error, IDSyntax, "", "this is not a Kubernetes object: apiVersion or kind is missing")}, nil
	case group == v1alpha1.GroupVersion.Group:
		found := m.home(o)
		more, err := m.addOurs(ctx, o)
		return append(found, more...), err
	case o.GetAPIVersion() == "v1" && o.GetKind() == "Service":
		m.services = append(m.services, o)
		return m.home(o), nil
	case group == "gateway.networking.k8s.io" && strings.HasSuffix(o.GetKind(), "Route"):
		m.routes = append(m.routes, o)
		return m.home(o), nil
	case foreign[group] != "":
		return []Finding{o.find(Note, IDForeign, "", foreignMessage(o, foreign[group]))}, nil
	}
	return nil, nil
}

// foreign maps the API groups of other canary tools to their names. A user who has such objects in the files may expect
// them to be checked.
var foreign = map[string]string{"argoproj.io": "Argo", "flagger.app": "Flagger"}

func foreignMessage(o object, tool string) string {
	message := fmt.Sprintf("not checked: %s %s is an object of %s", o.GetKind(), o.GetName(), tool)
	if slices.Contains([]string{"Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate", "Canary", "MetricTemplate"}, o.GetKind()) {
		return message + ": kubectl canary convert converts it"
	}
	return message + ", which this tool does not know"
}

// home sets the namespace of the command line. Like kubectl, it does so only if the object has none.
func (m *Manifests) home(o object) []Finding {
	switch namespace := o.GetNamespace(); {
	case m.namespace == "" || namespace == m.namespace:
	case namespace == "":
		o.SetNamespace(m.namespace)
	default:
		return []Finding{o.find(Error, IDNamespace, "metadata.namespace", fmt.Sprintf(
			"the namespace is %s, and -n says %s: kubectl refuses an object of another namespace", namespace, m.namespace))}
	}
	return nil
}

// addOurs checks an object of our own API group. Only a valid one is compared with others.
func (m *Manifests) addOurs(ctx context.Context, o object) ([]Finding, error) {
	load, isKnown := schemas[o.GetKind()]
	if want := v1alpha1.GroupVersion.String(); o.GetAPIVersion() != want || !isKnown {
		kind := kindRollout
		if isKnown {
			kind = o.GetKind()
		}
		return []Finding{o.find(Error, IDInvalid, "apiVersion", fmt.Sprintf(
			"there is no %s in %s: write apiVersion: %s and kind: %s", o.GetKind(), o.GetAPIVersion(), want, kind))}, nil
	}
	checked, err := load()
	if err != nil {
		return nil, err
	}
	found := checked.check(ctx, o)
	if slices.ContainsFunc(found, func(finding Finding) bool { return finding.Severity == Error }) {
		return found, nil
	}
	if err := m.decode(o); err != nil {
		found = append(found, o.find(Error, IDInvalid, "", err.Error()))
	}
	return found, nil
}

func (m *Manifests) decode(o object) error {
	if o.GetKind() == kindMetric {
		metric := &v1alpha1.CanaryMetric{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, metric); err != nil {
			return err
		}
		m.Metrics = append(m.Metrics, Metric{metric, o})
		return nil
	}
	rollout := &v1alpha1.CanaryRollout{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, rollout); err != nil {
		return err
	}
	m.Rollouts = append(m.Rollouts, Rollout{rollout, o})
	return nil
}

// parse splits a source into objects. A document that cannot be read becomes a finding; the others are still read.
func parse(source Source) (objects []object, found []Finding) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source.Content)))
	for document := 1; ; {
		content, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, found
		}
		var parsed []object
		if err == nil {
			parsed, err = parseDocument(content, source.Name, document)
		}
		if err != nil {
			found = append(found, Finding{Severity: Error, ID: IDSyntax, File: source.Name, Document: document, Message: err.Error()})
		}
		if err != nil || parsed != nil { // comments alone do not count as a document
			document++
		}
		objects = append(objects, parsed...)
	}
}

// parseDocument returns nil if there are only comments.
func parseDocument(content []byte, file string, document int) ([]object, error) {
	asJSON, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, fmt.Errorf("this is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var value any
	if err := json.Unmarshal(asJSON, &value); err != nil {
		return nil, fmt.Errorf("this is no YAML: %w", err)
	}
	if value == nil {
		return nil, nil
	}
	fields, isObject := value.(map[string]any)
	if !isObject {
		return nil, errors.New("this is not a Kubernetes object: a document must have apiVersion, kind and metadata")
	}
	return expand(object{&unstructured.Unstructured{Object: fields}, file, document}), nil
}

// expand replaces a list by its items.
func expand(o object) []object {
	items, isList := o.Object["items"].([]any)
	if !isList || !strings.HasSuffix(o.GetKind(), "List") {
		return []object{o}
	}
	objects := []object{}
	for _, item := range items {
		if fields, isObject := item.(map[string]any); isObject {
			objects = append(objects, expand(object{&unstructured.Unstructured{Object: fields}, o.file, o.document})...)
		}
	}
	return objects
}
