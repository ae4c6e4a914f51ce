// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/action"
	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/feed"
)

// quick limits the time for a completion, since it is requested by a key press. After that there are no suggestions.
const quick = 3 * time.Second

// nothing is the result if there are no suggestions.
func nothing() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveNoFileComp }

// offer keeps the names that begin with what was typed.
func offer(names []string, typed string) ([]string, cobra.ShellCompDirective) {
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, typed) })
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// ask runs a completion with a connection and a short timeout.
func (o *Options) ask(command *cobra.Command, question func(context.Context, *session) ([]string, error)) []string {
	ctx := command.Context()
	if ctx == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	s, err := o.open()
	if err != nil {
		return nil
	}
	names, err := question(ctx, s)
	if err != nil {
		return nil
	}
	return names
}

// names returns the names of all objects of a kind.
func names(ctx context.Context, c client.Client, kind schema.GroupVersionKind, options ...client.ListOption) ([]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	kind.Kind += "List"
	list.SetGroupVersionKind(kind)
	err := c.List(ctx, list, options...)
	var found []string
	for _, item := range list.Items {
		found = append(found, item.Name)
	}
	return found, err
}

func (o *Options) completeRollouts(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nothing()
	}
	return offer(o.ask(command, func(ctx context.Context, s *session) ([]string, error) {
		return names(ctx, s.client, action.Kind(), client.InNamespace(s.namespace))
	}), typed)
}

func (o *Options) completeNamespaces(command *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return offer(o.ask(command, func(ctx context.Context, s *session) ([]string, error) {
		return names(ctx, s.client, corev1.SchemeGroupVersion.WithKind("Namespace"))
	}), typed)
}

// completeRevisions suggests the revisions whose template still exists.
func (o *Options) completeRevisions(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nothing()
	}
	return offer(o.ask(command, func(ctx context.Context, s *session) ([]string, error) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSetList"})
		err := s.client.List(ctx, list, feed.ReplicaSetsOf(client.ObjectKey{Namespace: s.namespace, Name: nameOf(args[0])})...)
		var revisions []string
		for _, item := range list.Items {
			revisions = append(revisions, item.Labels[v1alpha1.RevisionLabel])
		}
		return revisions, err
	}), typed)
}

// completeImages suggests rollouts, then CONTAINER=, then the current image, for editing.
func (o *Options) completeImages(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return o.completeRollouts(command, args, typed)
	}
	found, _ := offer(o.ask(command, func(ctx context.Context, s *session) ([]string, error) {
		r, err := s.find(ctx, nameOf(args[0]))
		if err != nil {
			return nil, err
		}
		var candidates []string
		for _, c := range action.Containers(r) {
			candidates = append(candidates, c.Name+"=")
			if strings.HasPrefix(typed, c.Name+"=") {
				candidates = append(candidates, c.Name+"="+c.Image)
			}
		}
		return candidates, nil
	}), typed)
	return found, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}
