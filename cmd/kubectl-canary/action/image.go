// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package action

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

// SetImages returns the change. Its patch tests that each container still has the name and image that were read.
func SetImages(r *Rollout, args []string, flags string) (Change, error) {
	c := Change{Rollout: r, Patch: []jsonpatch.Operation{guard(r, "metadata", "uid")}}
	given, changed := map[string]bool{}, false
	for _, arg := range args {
		name, image, isPair := strings.Cut(arg, "=")
		if !isPair || name == "" || image == "" {
			return Change{}, fmt.Errorf("%q is not CONTAINER=IMAGE, as in: app=registry.example.com/reviews:2", arg)
		}
		if given[name] {
			return Change{}, fmt.Errorf("container %s is given two images", name)
		}
		given[name] = true
		patch, before, err := setImage(r, name, image)
		if err != nil {
			return Change{}, err
		}
		c.Patch = append(c.Patch, patch...)
		changed = changed || before != image
	}
	if !changed {
		return Change{}, fmt.Errorf("%s was not changed: it has these images already", r.Name)
	}
	c.Next = afterChange(r)
	c.Message = fmt.Sprintf("set %s in the template of %s; next: %s. %s", strings.Join(args, ", "), r.Name, c.Next, follow(r, flags))
	return c, nil
}

func setImage(r *Rollout, name, image string) (patch []jsonpatch.Operation, before string, err error) {
	all := Containers(r)
	index := slices.IndexFunc(all, func(c Container) bool { return c.Name == name })
	if index < 0 {
		var names []string
		for _, c := range all {
			names = append(names, c.Name)
		}
		return nil, "", fmt.Errorf("the template of %s has no container %q; there is %s", r.Name, name, strings.Join(names, ", "))
	}
	found := all[index]
	return []jsonpatch.Operation{
		jsonpatch.Test(found.path+"/name", name), jsonpatch.Test(found.path+"/image", found.Image),
		jsonpatch.Replace(found.path+"/image", image),
	}, found.Image, nil
}

// Container is a container of the template.
type Container struct {
	Name, Image string
	// path is its place in the rollout, as a JSON pointer.
	path string
}

// Containers returns all containers of the template, init containers last.
func Containers(r *Rollout) (all []Container) {
	for _, list := range []string{"containers", "initContainers"} {
		items, _, _ := unstructured.NestedSlice(revision.Template(r.Raw), "spec", list)
		for i, item := range items {
			fields, _ := item.(map[string]any)
			name, _ := fields["name"].(string)
			image, _ := fields["image"].(string)
			all = append(all, Container{Name: name, Image: image, path: jsonpatch.Pointer("spec", "template", "spec", list, strconv.Itoa(i))})
		}
	}
	return all
}
