// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/revision"
	"github.com/canaryrollout/canaryrollout/test/framework/admission"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// TestRefused breaks the sample in one way at a time. The message must say what to write instead.
func TestRefused(t *testing.T) {
	for name, tc := range admission.Refused {
		t.Run(name, func(t *testing.T) {
			_, err := tryCreate(t, edit(t, named(t, "refused"), tc.Edits))
			if err == nil {
				t.Fatalf("accepted:\n%s", tc.Edits)
			}
			if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
				t.Errorf("not refused as invalid, but: %v", err)
			}
			if !strings.Contains(err.Error(), tc.Want) {
				t.Errorf("message\n  %v\ndoes not contain\n  %s", err, tc.Want)
			}
		})
	}
}

// TestAccepted covers valid input that must not be refused.
func TestAccepted(t *testing.T) {
	for name, edits := range admission.Accepted {
		t.Run(name, func(t *testing.T) {
			object, err := tryCreate(t, edit(t, named(t, "accepted"), edits))
			if err != nil {
				t.Fatal(err)
			}
			if err := decode(object); err != nil {
				t.Errorf("accepted, but Go cannot decode it: %v", err)
			}
		})
	}
}

// TestCanaryMetrics covers the rules of the kind CanaryMetric.
func TestCanaryMetrics(t *testing.T) {
	metric := func(t *testing.T, edits string) map[string]any {
		t.Helper()
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(admission.CanaryMetric), &object); err != nil {
			t.Fatal(err)
		}
		object["metadata"].(map[string]any)["namespace"] = namespace
		return edit(t, object, edits)
	}
	for name, tc := range admission.RefusedMetrics {
		t.Run("refused/"+name, func(t *testing.T) {
			if _, err := tryCreate(t, metric(t, tc.Edits)); err == nil || !strings.Contains(err.Error(), tc.Want) {
				t.Errorf("message\n  %v\ndoes not contain\n  %s", err, tc.Want)
			}
		})
	}
	for name, edits := range admission.AcceptedMetrics {
		t.Run("accepted/"+name, func(t *testing.T) {
			object, err := tryCreate(t, metric(t, edits))
			if err == nil {
				err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &v1alpha1.CanaryMetric{})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMetricSamples: the shipped CanaryMetrics are accepted as they are.
func TestMetricSamples(t *testing.T) {
	manifests := mustKubectl(t, "", "kustomize", repository.Path("config", "samples", "metrics"))
	output := mustKubectl(t, strings.ReplaceAll(manifests, "namespace: canaryrollout-system", "namespace: "+namespace),
		"create", "--dry-run=server", "--validate=strict", "-f", "-")
	if count := strings.Count(output, "canarymetric.canaryrollout.dev/"); count != 14 {
		t.Errorf("%d metrics:\n%s", count, output)
	}
}

// TestRefusedTemplates covers templates that are stored in a rollout, but refused in the ReplicaSet that the operator
// renders.
func TestRefusedTemplates(t *testing.T) {
	for name, tc := range admission.RefusedTemplates {
		t.Run(name, func(t *testing.T) {
			object, err := tryCreate(t, edit(t, named(t, "stored"), tc.Edits))
			if err != nil {
				t.Fatal(err)
			}
			_, err = tryCreate(t, revision.Render(object, revision.Identity{Revision: "x", Hash: "x"}).Object)
			if err == nil || !strings.Contains(err.Error(), tc.Want) {
				t.Errorf("message\n  %v\ndoes not contain\n  %s", err, tc.Want)
			}
		})
	}
}

// TestRawTemplateIsStoredAsGiven: revisions are identified by the stored template, so nothing may be added to it.
func TestRawTemplateIsStoredAsGiven(t *testing.T) {
	given := edit(t, named(t, "raw"), admission.Container("fieldOfTomorrow: {a: null}, ports: [{containerPort: 1}], env: [{name: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"))
	want := asJSON(t, given["spec"].(map[string]any)["template"])
	object, err := tryCreate(t, given)
	if err != nil {
		t.Fatal(err)
	}
	if got := asJSON(t, object.Object["spec"].(map[string]any)["template"]); got != want {
		t.Errorf("given\n  %s\nstored\n  %s", want, got)
	}
}

func TestSelectorIsImmutable(t *testing.T) {
	ctx := t.Context()
	object := &unstructured.Unstructured{Object: edit(t, named(t, "immutable"), "spec.template.metadata.labels: {app: reviews, tier: web}")}
	if err := env.Admin.Create(ctx, object); err != nil {
		t.Fatal(err)
	}
	remove(t, object)

	selector := []byte(`{"spec": {"selector": {"matchLabels": {"tier": "web"}}}}`)
	err := env.Admin.Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, selector))
	if err == nil || !strings.Contains(err.Error(), "selector is immutable: delete the rollout with --cascade=orphan") {
		t.Errorf("a change of the selector: %v", err)
	}
	template := []byte(`{"spec": {"template": {"metadata": {"labels": {"tier": null}}}}}`)
	if err := env.Admin.Patch(ctx, object, client.RawPatch(types.MergePatchType, template)); err != nil {
		t.Errorf("a change of other labels: %v", err)
	}
}

// tryCreate creates an object with strict validation, as kubectl does, but as a dry run, and returns what would be
// stored.
func tryCreate(t *testing.T, content map[string]any) (*unstructured.Unstructured, error) {
	t.Helper()
	object := &unstructured.Unstructured{Object: content}
	err := env.Admin.Create(t.Context(), object, client.DryRunAll, client.FieldValidation("Strict"))
	return object, err
}

// decode decodes a stored object as the controller's cache does.
func decode(object *unstructured.Unstructured) error {
	content, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	return json.Unmarshal(content, &v1alpha1.CanaryRollout{})
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// remove deletes an object at the end of the test.
func remove(t *testing.T, object client.Object) {
	t.Helper()
	t.Cleanup(func() {
		if err := env.Admin.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}
