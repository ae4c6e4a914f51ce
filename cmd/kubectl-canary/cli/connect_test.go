// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// server serves objects by path, and records the requested paths.
func server(t *testing.T, objects map[string]any) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var paths []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.String())
		object, found := objects[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(object); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(paths)
	}
}

func runAgainst(t *testing.T, url string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	o := NewOptions(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr})
	command := NewCommand(o)
	command.SetArgs(append(args, "-n", "shop", "-s", url, "--cache-dir", t.TempDir()))
	code = Run(t.Context(), command)
	return code, stdout.String(), stderr.String()
}

// TestRequests checks that only the objects are requested from the API server, so that output starts at once.
func TestRequests(t *testing.T) {
	const base = "/apis/canaryrollout.dev/v1alpha1/namespaces/shop/canaryrollouts/reviews"
	url, asked := server(t, map[string]any{
		base: paused(),
		"/apis/apps/v1/namespaces/shop/replicasets": &appsv1.ReplicaSetList{TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "ReplicaSetList"}},
		"/api/v1/namespaces/shop/pods":              &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}},
	})
	code, out, errOut := runAgainst(t, url, "get", "reviews")
	if code != 0 || !strings.Contains(out, "Paused") {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	want := []string{
		base, "/apis/apps/v1/namespaces/shop/replicasets?labelSelector=canaryrollout.dev%2Frollout%3Dreviews",
		"/api/v1/namespaces/shop/pods?labelSelector=app%3Dreviews%2Cpod-template-hash",
	}
	if diff := cmp.Diff(want, asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestServerWithoutCRD covers an API server that does not know the kind and answers with plain text.
func TestServerWithoutCRD(t *testing.T) {
	url, asked := server(t, nil)
	for _, args := range []string{"get reviews", "list", "abort reviews", "status reviews"} {
		code, _, errOut := runAgainst(t, url, strings.Fields(args)...)
		if code == 0 || errOut != "error: "+notInstalled+"\n" {
			t.Errorf("%s: code %d: %s", args, code, errOut)
		}
	}
	if got := len(asked()); got != 4 {
		t.Errorf("%d requests: %v", got, asked())
	}
}

// TestCompletionAsks checks that completion gets names from the API server, and is empty if it cannot be reached.
func TestCompletionAsks(t *testing.T) {
	list := &metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
		Items:    []metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "reviews"}}},
	}
	url, _ := server(t, map[string]any{"/apis/canaryrollout.dev/v1alpha1/namespaces/shop/canaryrollouts": list})
	for _, tc := range []struct{ url, want string }{{url, "reviews\n:4\n"}, {"http://127.0.0.1:1", ":4\n"}} {
		var out, errOut bytes.Buffer
		o := NewOptions(genericiooptions.IOStreams{Out: &out, ErrOut: &errOut})
		command := NewCommand(o)
		command.SetArgs([]string{"__complete", "-n", "shop", "-s", tc.url, "get", ""})
		if code := Run(t.Context(), command); code != 0 || out.String() != tc.want {
			t.Errorf("code %d: %q%s", code, out.String(), errOut.String())
		}
	}
}
