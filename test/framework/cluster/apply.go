// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fieldOwner is the field manager of [Apply].
const fieldOwner = client.FieldOwner("cluster-test")

// Apply creates or updates every object of the given YAML or JSON documents by server-side apply, in order.
// Namespaced objects without a namespace go to "default". If an object's kind is not served yet, Apply waits for it,
// so a CRD and its first objects can be given together.
func Apply(ctx context.Context, cfg *rest.Config, manifests ...[]byte) error {
	c, err := client.New(cfg, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return err
	}
	for _, manifest := range manifests {
		objects, err := decode(manifest)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := applyOne(ctx, c, object); err != nil {
				return fmt.Errorf("applying %s %s: %w", object.GetKind(), object.GetName(), err)
			}
		}
	}
	return nil
}

// ApplyFiles calls [Apply] with the given files, or with all *.yaml files of the given folders.
func ApplyFiles(ctx context.Context, cfg *rest.Config, paths ...string) error {
	for _, path := range paths {
		manifests, err := readManifests(path)
		if err != nil {
			return err
		}
		if err := Apply(ctx, cfg, manifests...); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func readManifests(path string) (manifests [][]byte, err error) {
	files := []string{path}
	if !isFile(path) {
		if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no manifest in %s", path)
	}
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, manifest)
	}
	return manifests, nil
}

func decode(manifest []byte) (objects []*unstructured.Unstructured, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 { // a document may contain only comments
			objects = append(objects, object)
		}
	}
}

func applyOne(ctx context.Context, c client.Client, object *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var fatal error
	err := waitFor(ctx, "its kind to be served", func(ctx context.Context) error {
		attempt := object.DeepCopy()
		namespaced, err := c.IsObjectNamespaced(attempt)
		if err == nil {
			if namespaced && attempt.GetNamespace() == "" {
				attempt.SetNamespace("default")
			}
			err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(attempt), fieldOwner, client.ForceOwnership)
		}
		if meta.IsNoMatchError(err) {
			return err
		}
		fatal = err
		return nil
	})
	return errors.Join(err, fatal)
}

// WaitForCRDs waits until the named CRDs are Established, or all existing CRDs if none is named.
func WaitForCRDs(ctx context.Context, cfg *rest.Config, names ...string) error {
	scheme := runtime.NewScheme()
	if err := apiextensions.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	return waitFor(ctx, "CRDs to be established", func(ctx context.Context) error {
		var list apiextensions.CustomResourceDefinitionList
		if err := c.List(ctx, &list); err != nil {
			return err
		}
		return pendingCRD(list.Items, names)
	})
}

func pendingCRD(crds []apiextensions.CustomResourceDefinition, names []string) error {
	established := map[string]bool{}
	for _, crd := range crds {
		established[crd.Name] = slices.ContainsFunc(crd.Status.Conditions, func(c apiextensions.CustomResourceDefinitionCondition) bool {
			return c.Type == apiextensions.Established && c.Status == apiextensions.ConditionTrue
		})
		if len(names) == 0 && !established[crd.Name] {
			return fmt.Errorf("%s is not", crd.Name)
		}
	}
	for _, name := range names {
		if !established[name] {
			return fmt.Errorf("%s is not", name)
		}
	}
	return nil
}
