// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/observe"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

// answers keeps the body of the last answer.
type answers struct {
	next http.RoundTripper
	last []byte
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	a.last, err = io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(a.last))
	return response, err
}

// TestStatusPatchForMetadata: the manager asks for nothing but metadata in the answer to a status patch. The API server must then
// neither send the rest, nor check less: unknown fields and older versions are refused as ever.
func TestStatusPatchForMetadata(t *testing.T) {
	rollout := created(t, "metadata")
	config := env.Cluster.RESTConfig(cluster.Admin)
	wire := &answers{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		wire.next = next
		return wire
	})
	c, err := client.New(config, client.Options{Scheme: env.Admin.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	version := rollout.ResourceVersion
	patch := func(status string) error {
		answer := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: rollout.Namespace, Name: rollout.Name}}
		answer.SetGroupVersionKind(observe.RolloutKind)
		data := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"status":%s}`, version, status)
		err := c.Status().Patch(t.Context(), answer, client.RawPatch(types.MergePatchType, []byte(data)),
			client.FieldOwner(v1alpha1.FieldManager), client.FieldValidation(metav1.FieldValidationStrict))
		if err == nil {
			version = answer.ResourceVersion
		}
		return err
	}
	const long = "a message that the answer must not have"
	if err := patch(`{"message":"` + long + `","memory":{"stableRevision":"r","stepIndex":0}}`); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wire.last, []byte(long)) || bytes.Contains(wire.last, []byte("bookinfo-reviews-v1")) {
		t.Errorf("the answer has %d bytes, with spec and status", len(wire.last))
	}
	if err := patch(`{"message":null,"memory":{"stableRevision":null,"stepIndex":3}}`); err != nil {
		t.Fatal(err)
	}
	stored := &v1alpha1.CanaryRollout{}
	if err := env.Admin.Get(t.Context(), client.ObjectKeyFromObject(rollout), stored); err != nil {
		t.Fatal(err)
	}
	if m := stored.Status.Memory; stored.ResourceVersion != version || stored.Status.Message != "" || m.StableRevision != "" || m.StepIndex != 3 {
		t.Errorf("version %s, want %s; status %+v", stored.ResourceVersion, version, stored.Status)
	}
	if err := patch(`{"memory":{"tomorrow":1}}`); !observe.IsRefusal(err) || !strings.Contains(err.Error(), "status.memory.tomorrow") {
		t.Errorf("an unknown field: %v, want a refusal that names it", err)
	}
	version = rollout.ResourceVersion
	if err := patch(`{"message":"x"}`); !apierrors.IsConflict(err) {
		t.Errorf("an older version: %v, want a conflict", err)
	}
}
