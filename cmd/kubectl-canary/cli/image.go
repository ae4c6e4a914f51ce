// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/canaryrollout/canaryrollout/controllers/jsonpatch"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
)

func newSetImageCommand(o *Options) *cobra.Command {
	command := &cobra.Command{
		Use:   "image NAME CONTAINER=IMAGE...",
		Short: "Change images in the pod template, which starts a release",
		Example: `  kubectl canary set image reviews app=registry.example.com/reviews:2
  kubectl canary set image reviews app=registry.example.com/reviews:2 sidecar=registry.example.com/proxy:7`,
		Args: func(command *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("%s takes the name of a rollout, and images, as in: %s reviews app=registry.example.com/reviews:2",
					command.CommandPath(), command.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: o.completeImages,
	}
	w := addWriteFlags(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		s, err := o.open()
		if err != nil {
			return err
		}
		r, err := s.find(command.Context(), nameOf(args[0]))
		if err != nil {
			return err
		}
		c, err := setImages(r, args[1:], s.flags())
		if err != nil {
			return err
		}
		return w.write(command.Context(), s, c)
	}
	return command
}

// setImages returns the change. Its patch tests that each container still has the name and image that were read.
func setImages(r *rollout, args []string, flags string) (change, error) {
	c := change{rollout: r, patch: []jsonpatch.Operation{guard(r, "metadata", "uid")}}
	given, changed := map[string]bool{}, false
	for _, arg := range args {
		name, image, isPair := strings.Cut(arg, "=")
		if !isPair || name == "" || image == "" {
			return change{}, fmt.Errorf("%q is not CONTAINER=IMAGE, as in: app=registry.example.com/reviews:2", arg)
		}
		if given[name] {
			return change{}, fmt.Errorf("container %s is given two images", name)
		}
		given[name] = true
		patch, before, err := setImage(r, name, image)
		if err != nil {
			return change{}, err
		}
		c.patch = append(c.patch, patch...)
		changed = changed || before != image
	}
	if !changed {
		return change{}, fmt.Errorf("%s was not changed: it has these images already", r.Name)
	}
	c.message = fmt.Sprintf("set %s in the template of %s; next: %s. %s", strings.Join(args, ", "), r.Name, afterChange(r), follow(r, flags))
	return c, nil
}

func setImage(r *rollout, name, image string) (patch []jsonpatch.Operation, before string, err error) {
	all := containers(r)
	index := slices.IndexFunc(all, func(c container) bool { return c.name == name })
	if index < 0 {
		var names []string
		for _, c := range all {
			names = append(names, c.name)
		}
		return nil, "", fmt.Errorf("the template of %s has no container %q; there is %s", r.Name, name, strings.Join(names, ", "))
	}
	found := all[index]
	return []jsonpatch.Operation{
		jsonpatch.Test(found.path+"/name", name), jsonpatch.Test(found.path+"/image", found.image),
		jsonpatch.Replace(found.path+"/image", image),
	}, found.image, nil
}

// container is a container of the template, with its path.
type container struct{ path, name, image string }

// containers returns all containers of the template, init containers last.
func containers(r *rollout) (all []container) {
	for _, list := range []string{"containers", "initContainers"} {
		items, _, _ := unstructured.NestedSlice(revision.Template(r.raw), "spec", list)
		for i, item := range items {
			fields, _ := item.(map[string]any)
			name, _ := fields["name"].(string)
			image, _ := fields["image"].(string)
			all = append(all, container{jsonpatch.Pointer("spec", "template", "spec", list, strconv.Itoa(i)), name, image})
		}
	}
	return all
}
