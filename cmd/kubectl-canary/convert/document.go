// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/lint"
)

// object is an object of the input.
type object struct {
	*report
	file               string
	document, position int
	root               *yaml.Node
	// group is the API group; empty for the core group.
	group, kind, namespace, name string
}

// entry returns an entry about a field of the object.
func (o *object) entry(severity Severity, path, message, instead string) Entry {
	name := o.name
	if o.namespace != "" {
		name = o.namespace + "/" + name
	}
	return Entry{
		Severity: severity, File: o.file, Document: o.document, Object: strings.TrimSpace(o.kind + " " + name),
		Path: path, Message: message, Instead: instead, position: o.position,
	}
}

func (o *object) fail(path, message, instead string) { o.add(o.entry(Error, path, message, instead)) }
func (o *object) lose(path, message, instead string) { o.add(o.entry(Loss, path, message, instead)) }
func (o *object) note(path, message, instead string) { o.add(o.entry(Note, path, message, instead)) }

// parse splits the sources into objects. A document that cannot be read is an error of the report; the others are still read.
func parse(sources []lint.Source, r *report) (objects []*object) {
	for _, source := range sources {
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(source.Content)))
		for document := 1; ; {
			content, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			var root *yaml.Node
			if err == nil {
				root, err = parseDocument(content)
			}
			place := &object{report: r, file: source.Name, document: document, position: len(objects)}
			switch {
			case err != nil:
				place.fail("", err.Error(), "correct the file")
				objects = append(objects, place)
			case root == nil: // comments alone do not count as a document
				continue
			default:
				objects = append(objects, place.expand(root)...)
			}
			document++
		}
	}
	for i, o := range objects {
		o.position = i
	}
	return slices.DeleteFunc(objects, func(o *object) bool { return o.root == nil })
}

// parseDocument returns nil if there are only comments.
func parseDocument(content []byte) (*yaml.Node, error) {
	var document yaml.Node
	err := yaml.Unmarshal(content, &document)
	if err == nil {
		var values any
		err = document.Decode(&values) // rejects fields that occur twice, and aliases without end
	}
	if err != nil {
		return nil, fmt.Errorf("this is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) == 0 || isNull(document.Content[0]) {
		return nil, nil
	}
	root := resolved(document.Content[0])
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("this is not a Kubernetes object: a document must have apiVersion, kind and metadata")
	}
	if root.HeadComment == "" {
		root.HeadComment = document.HeadComment
	}
	root.FootComment = document.FootComment
	return root, nil
}

// expand returns the object of a document, or those of a list.
func (o *object) expand(root *yaml.Node) []*object {
	kind := text(get(root, "kind"))
	if items := get(root, "items"); strings.HasSuffix(kind, "List") && items != nil && items.Kind == yaml.SequenceNode {
		var objects []*object
		for _, item := range items.Content {
			objects = append(objects, o.expand(item)...)
		}
		return objects
	}
	group, _, isNamed := strings.Cut(text(get(root, "apiVersion")), "/")
	if !isNamed {
		group = ""
	}
	return []*object{{
		report: o.report, file: o.file, document: o.document, root: root, group: group, kind: kind,
		namespace: text(get(root, "metadata", "namespace")), name: text(get(root, "metadata", "name")),
	}}
}

// resolved returns a copy without anchors, aliases and merge keys: parts of it go to different places.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return resolved(node.Alias)
	}
	result := *node
	result.Anchor, result.Content = "", nil
	for i := 0; i < len(node.Content); i++ {
		if node.Kind != yaml.MappingNode {
			result.Content = append(result.Content, resolved(node.Content[i]))
			continue
		}
		key, value := node.Content[i], resolved(node.Content[i+1])
		i++
		if key.Tag == "!!merge" {
			merge(&result, node, value)
			continue
		}
		result.Content = append(result.Content, resolved(key), value)
	}
	return &result
}

// merge adds the fields of a merge key that the mapping does not set itself.
func merge(result, mapping, value *yaml.Node) {
	if value.Kind == yaml.SequenceNode {
		for _, item := range value.Content {
			merge(result, mapping, item)
		}
		return
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		if key := value.Content[i].Value; get(mapping, key) == nil && get(result, key) == nil {
			result.Content = append(result.Content, value.Content[i], value.Content[i+1])
		}
	}
}

// isEqual reports whether two nodes have the same text.
func isEqual(a, b *yaml.Node) bool {
	one, errOne := encode(a)
	other, errOther := encode(b)
	return errOne == nil && errOther == nil && string(one) == string(other)
}

// encode formats an object.
func encode(root *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return out.Bytes(), encoder.Close()
}
