// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package jsonpatch

import (
	"encoding/json"
	"net/http"
	"testing"

	evanphx "gopkg.in/evanphx/json-patch.v4" // the one that the API server applies patches with
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestOperations applies patches as the API server does.
func TestOperations(t *testing.T) {
	const before = `{"labels":{"a/b~c":"1"},"list":[1,2]}`
	for name, tc := range map[string]struct {
		patch []Operation
		want  string
	}{
		"test, replace": {[]Operation{Test(Pointer("labels", "a/b~c"), "1"), Replace(Pointer("labels", "a/b~c"), "2")}, `{"labels":{"a/b~c":"2"},"list":[1,2]}`},
		"absent, add":   {[]Operation{Test("/new", nil), Add("/new", nil), Add("/list/0", 0)}, `{"labels":{"a/b~c":"1"},"list":[0,1,2],"new":null}`},
		"remove":        {[]Operation{Remove("/labels"), Remove("/list/0")}, `{"list":[2]}`},
		"failed test":   {[]Operation{Test("/list/0", 2)}, ""},
		"not absent":    {[]Operation{Test("/list", nil)}, ""},
	} {
		encoded, err := json.Marshal(tc.patch)
		if err != nil {
			t.Fatal(err)
		}
		patch, err := evanphx.DecodePatch(encoded)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := patch.Apply([]byte(before))
		if (err != nil) != (tc.want == "") || err == nil && !evanphx.Equal(got, []byte(tc.want)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestIsTestFailure: only the API server's refusal that names no field is a failed test.
func TestIsTestFailure(t *testing.T) {
	failed := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", "testing failed", 0, false)
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "HTTPRoute"}, "reviews", nil)
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "reviews", nil)
	if !IsTestFailure(failed) || IsTestFailure(invalid) || IsTestFailure(forbidden) || IsTestFailure(nil) {
		t.Errorf("failed test %t, invalid %t, forbidden %t, none %t", IsTestFailure(failed), IsTestFailure(invalid), IsTestFailure(forbidden), IsTestFailure(nil))
	}
}
