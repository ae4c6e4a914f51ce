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
	// Rollouts are those that the API server would take, with its defaults.
	Rollouts []Rollout

	services, routes []object
	// namespace is what -n says: that of objects that name none.
	namespace string
}

// Rollout is a CanaryRollout and where it stands.
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

// find makes a finding about the object.
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

// Read parses all sources and checks each CanaryRollout by itself. Objects that name no namespace get the given one; empty
// when it is not known.
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

// add files an object by its kind; the others are none of our business.
func (m *Manifests) add(ctx context.Context, checked *schema, o object) []Finding {
	group, _, _ := strings.Cut(o.GetAPIVersion(), "/")
	switch {
	case o.GetAPIVersion() == "" || o.GetKind() == "":
		return []Finding{o.find(Error, IDSyntax, "", "this is no Kubernetes object: apiVersion or kind is missing")}
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

// foreign are the other tools that release canaries, by the groups of their objects. A user who has one of these in the files may
// expect that it is checked.
var foreign = map[string]string{"argoproj.io": "Argo", "flagger.app": "Flagger"}

// home gives an object the namespace of the command line, which kubectl does only where there is none.
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

// parse takes a source apart. A document that cannot be read is a finding, and the others are read all the same.
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
		if err != nil || parsed != nil { // comments alone are no document
			document++
		}
		objects = append(objects, parsed...)
	}
}

// parseDocument returns nil where there is nothing but comments.
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
		return nil, errors.New("this is no Kubernetes object: a document has to begin with apiVersion, kind and metadata")
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
