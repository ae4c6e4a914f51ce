// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package lint

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// templateOnly is a rollout with only the pod template, so that errors name fields by their full path.
type templateOnly struct {
	Spec struct {
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

var templatePath = []string{"spec", "template"}

// checkTemplate decodes the pod template as the API server decodes that of a ReplicaSet. The schema of a CanaryRollout
// does not describe the template, so only this finds unknown fields and wrong types in it.
func checkTemplate(o object) []Finding {
	template := revision.Template(o.Unstructured)
	if template == nil {
		return nil // the schema requires one
	}
	content, err := json.Marshal(map[string]any{"spec": map[string]any{"template": template}})
	if err != nil {
		return []Finding{o.find(Error, IDInvalid, "spec.template", err.Error())}
	}
	decoded := &templateOnly{}
	strict, err := sigsjson.UnmarshalStrict(content, decoded)
	if err != nil {
		return []Finding{o.find(Error, IDInvalid, "spec.template", strings.TrimPrefix(err.Error(), "json: "))}
	}
	var found []Finding
	for _, err := range strict {
		if unknown := sigsjson.FieldError(nil); errors.As(err, &unknown) {
			path := unknown.FieldPath()
			found = append(found, o.find(Error, IDUnknownField, path, unknownField(path, fieldsBelow(reflect.TypeFor[corev1.PodTemplateSpec](), templatePath))))
		}
	}
	return append(found, checkEnv(o, decoded.Spec.Template.Spec)...)
}

// checkEnv finds variables that are set twice. A Deployment accepts them too: the last one counts.
func checkEnv(o object, pod corev1.PodSpec) (found []Finding) {
	for _, list := range []struct {
		field      string
		containers []corev1.Container
	}{{"initContainers", pod.InitContainers}, {"containers", pod.Containers}} {
		for i, container := range list.containers {
			last := map[string]int{}
			for j, variable := range container.Env {
				if before, twice := last[variable.Name]; twice {
					path := fmt.Sprintf("spec.template.spec.%s[%d].env[%d]", list.field, i, before)
					found = append(found, o.find(Warning, IDHiddenVariable, path, fmt.Sprintf(
						"variable %s is set again in env[%d], and the last value counts: remove this one", variable.Name, j)))
				}
				last[variable.Name] = j
			}
		}
	}
	return found
}

// fieldsBelow returns a function that returns the known fields below a path. The type is that of the field at base.
func fieldsBelow(node reflect.Type, base []string) func(path []string) []string {
	return func(path []string) []string {
		node := node
		for _, name := range path[len(base):] {
			node = belowType(node, name)
			for node != nil && node.Kind() == reflect.Pointer {
				node = node.Elem()
			}
			if node == nil {
				return nil
			}
		}
		return slices.Sorted(maps.Keys(jsonFields(node)))
	}
}

// belowType returns the type of a field or, for [], of the items of a list; nil if there is none. The names come from
// users, so any name may appear anywhere.
func belowType(node reflect.Type, name string) reflect.Type {
	if name != "[]" {
		return jsonFields(node)[name]
	}
	if kind := node.Kind(); kind != reflect.Slice && kind != reflect.Array {
		return nil
	}
	return node.Elem()
}

// jsonFields returns the fields of a struct by their JSON names, including those of embedded structs.
func jsonFields(node reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	if node.Kind() != reflect.Struct {
		return fields
	}
	for _, field := range reflect.VisibleFields(node) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = field.Type
		}
	}
	return fields
}
