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

	services, routes []object
	// namespace is the value of -n, for objects without a namespace.
	namespace string
}

// Rollout is a CanaryRollout and its place in the sources.
type Rollout struct {
	*v1alpha1.CanaryRollout
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

// Read parses all sources and checks each CanaryRollout on its own. Objects without a namespace get the given one,
// which is empty if it is unknown.
func Read(ctx context.Context, sources []Source, namespace string) (*Manifests, []Finding, error) {
	checked, err := loadSchema()
	if err != nil {
		return nil, nil, err
	}
	manifests, found := &Manifests{namespace: namespace}, []Finding{}
	for _, source := range sources {
		objects, findings := parse(source)
		found = append(found, findings...)
		for _, object := range objects {
			found = append(found, manifests.add(ctx, checked, object)...)
		}
	}
	return manifests, found, nil
}

// add adds an object to the list of its kind. Other kinds are ignored.
func (m *Manifests) add(ctx context.Context, checked *schema, o object) []Finding {
	group, _, _ := strings.Cut(o.GetAPIVersion(), "/")
	switch {
	case o.GetAPIVersion() == "" || o.GetKind() == "":
		return []Finding{o.find(Error, IDSyntax, "", "this is not a Kubernetes object: apiVersion or kind is missing")}
	case group == v1alpha1.GroupVersion.Group:
		return append(m.home(o), m.addRollout(ctx, checked, o)...)
	case o.GetAPIVersion() == "v1" && o.GetKind() == "Service":
		m.services = append(m.services, o)
		return m.home(o)
	case group == "gateway.networking.k8s.io" && strings.HasSuffix(o.GetKind(), "Route"):
		m.routes = append(m.routes, o)
		return m.home(o)
	case foreign[group] != "":
		return []Finding{o.find(Note, IDForeign, "", fmt.Sprintf("not checked: %s %s is an object of %s, which this tool does not know",
			o.GetKind(), o.GetName(), foreign[group]))}
	}
	return nil
}

// foreign maps the API groups of other canary tools to their names. A user who has such objects in the files may expect
// them to be checked.
var foreign = map[string]string{"argoproj.io": "Argo", "flagger.app": "Flagger"}

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

func (m *Manifests) addRollout(ctx context.Context, checked *schema, o object) []Finding {
	if want := v1alpha1.GroupVersion.String(); o.GetAPIVersion() != want || o.GetKind() != kind {
		return []Finding{o.find(Error, IDInvalid, "apiVersion", fmt.Sprintf(
			"there is no %s in %s: write apiVersion: %s and kind: %s", o.GetKind(), o.GetAPIVersion(), want, kind))}
	}
	found := checked.check(ctx, o)
	for _, finding := range found {
		if finding.Severity == Error {
			return found
		}
	}
	rollout := &v1alpha1.CanaryRollout{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, rollout); err != nil {
		return append(found, o.find(Error, IDInvalid, "", err.Error()))
	}
	m.Rollouts = append(m.Rollouts, Rollout{rollout, o})
	return found
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
