// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kustomize writes the OpenAPI schema that Kustomize uses to merge patches. Without one, it replaces the
// container list of a CanaryRollout with that of a patch. A schema that a kustomization names replaces the one built
// into Kustomize, so the kinds of Kubernetes are included, too. Kustomize only reads from a schema which lists are
// merged by which key, so it contains nothing else.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
)

type object = map[string]any

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: kustomize FILE"))
	}
	out, err := json.MarshalIndent(document(), "", " ")
	if err == nil {
		err = os.WriteFile(os.Args[1], append(out, '\n'), 0o644)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "kustomize:", err)
	os.Exit(1)
}

// document returns the schema of every kind that has lists to merge.
func document() object {
	g := generator{definitions: object{}}
	known := scheme.Scheme.AllKnownTypes()
	for _, kind := range slices.SortedFunc(maps.Keys(known), func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) }) {
		if meta, isObject := known[kind].FieldByName("ObjectMeta"); isObject && meta.Anonymous && g.refer(known[kind]) != nil {
			g.name(nameOf(known[kind]), kind)
		}
	}
	rollout := v1alpha1.GroupVersion.WithKind("CanaryRollout")
	g.definitions["CanaryRollout"] = properties(object{"metadata": g.refer(reflect.TypeFor[metav1.ObjectMeta]()), "spec": properties(object{
		"template": g.refer(reflect.TypeFor[corev1.PodTemplateSpec]()),
		"traffic":  properties(object{"routes": object{"type": "array", patchStrategy: "merge", mapKeys: []string{"kind", "name"}}}),
	})})
	g.name("CanaryRollout", rollout)
	return object{
		"swagger": "2.0", "info": object{"title": "CanaryRollout and Kubernetes", "version": rollout.Version},
		"paths": object{}, "definitions": g.definitions,
	}
}

const (
	patchStrategy = "x-kubernetes-patch-strategy"
	mergeKey      = "x-kubernetes-patch-merge-key"
	mapKeys       = "x-kubernetes-list-map-keys"
	kinds         = "x-kubernetes-group-version-kind"
)

// twoKeys are the lists whose elements are identified by two fields. The tags of the Go types only have the first.
var twoKeys = map[string][]string{
	"containerPort": {"containerPort", "protocol"},
	"port":          {"port", "protocol"},
}

// generator collects the definitions of Go types.
type generator struct{ definitions object }

// name adds a kind to a definition; a type may define several.
func (g generator) name(definition string, kind schema.GroupVersionKind) {
	d := g.definitions[definition].(object)
	known, _ := d[kinds].([]object)
	d[kinds] = append(known, object{"group": kind.Group, "version": kind.Version, "kind": kind.Kind})
}

// refer defines a struct, and returns a reference to it, or nil if nothing in it is merged.
func (g generator) refer(goType reflect.Type) object {
	for goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if goType.Kind() != reflect.Struct {
		return nil
	}
	reference := object{"$ref": "#/definitions/" + nameOf(goType)}
	known, visited := g.definitions[nameOf(goType)]
	if !visited {
		g.definitions[nameOf(goType)] = nil // for recursive types
		fields := object{}
		g.addFields(fields, goType)
		if len(fields) == 0 {
			delete(g.definitions, nameOf(goType))
			return nil
		}
		known = properties(fields)
		g.definitions[nameOf(goType)] = known
	}
	if known == nil {
		return nil
	}
	return reference
}

func (g generator) addFields(fields object, goType reflect.Type) {
	for field := range goType.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case !field.IsExported(), name == "-":
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct:
			g.addFields(fields, field.Type)
		case field.Type.Kind() == reflect.Slice:
			if list := g.list(field); list != nil {
				fields[name] = list
			}
		default:
			if reference := g.refer(field.Type); reference != nil {
				fields[name] = reference
			}
		}
	}
}

// list returns the schema of a list that is merged, or nil if a patch replaces it.
func (g generator) list(field reflect.StructField) object {
	strategy := field.Tag.Get("patchStrategy")
	if strategy == "" {
		return nil
	}
	list := object{"type": "array", patchStrategy: strategy}
	if key := field.Tag.Get("patchMergeKey"); twoKeys[key] != nil {
		list[mapKeys] = twoKeys[key]
	} else if key != "" {
		list[mergeKey] = key
	}
	if items := g.refer(field.Type.Elem()); items != nil {
		list["items"] = items
	}
	return list
}

func properties(fields object) object { return object{"type": "object", "properties": fields} }

// nameOf returns a unique name for a type.
func nameOf(goType reflect.Type) string {
	return strings.NewReplacer("/", ".", "-", "_").Replace(goType.PkgPath()) + "." + goType.Name()
}
