// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"errors"
	"testing"

	"k8s.io/client-go/openapi"

	"github.com/canaryrollout/canaryrollout/controllers/route"
)

// documents are the OpenAPI documents of an API server. It counts how often they are read.
type documents struct {
	content, hash string
	err           error
	lists, reads  int
}

func (d *documents) PathsWithContext(context.Context) (map[string]openapi.GroupVersionWithContext, error) {
	d.lists++
	return map[string]openapi.GroupVersionWithContext{"apis/" + HTTPRouteKind.GroupVersion().String(): d}, d.err
}

func (d *documents) SchemaWithContext(context.Context, string) ([]byte, error) {
	d.reads++
	return []byte(d.content), nil
}

func (d *documents) ServerRelativeURL() string { return "/openapi/v3/apis/x?hash=" + d.hash }

// describing returns a document of a kind whose rules have these fields, and of another kind that has none.
func describing(kind, rule string) string {
	of := func(kind, rule string) string {
		return `{"type": "object", "properties": {"spec": {"properties": {"rules": {"items": {"properties": {` + rule + `}}}}}},
			"x-kubernetes-group-version-kind": [{"group": "gateway.networking.k8s.io", "version": "v1", "kind": "` + kind + `"}]}`
	}
	return `{"components": {"schemas": {"a": ` + of(kind, rule) + `, "b": ` + of("GRPCRoute", "") + `, "c": {"properties": {"spec": {}}}}}}`
}

// TestSchemas checks that the fields that the served schema lacks are found in its OpenAPI document, that the
// document is read once, and that a failed read blocks nothing: the API server rejects the write in that case.
func TestSchemas(t *testing.T) {
	const name = `"name": {}`
	const fraction = `"filters": {"items": {"properties": {"requestMirror": {"properties": {"backendRef": {}, "fraction": {}}}}}}`
	const plain = `"filters": {"items": {"properties": {"requestMirror": {"properties": {"backendRef": {}}}}}}`
	for test, tc := range map[string]struct {
		content string
		err     error
		want    route.Missing
		reads   int
	}{
		"all fields":        {describing("HTTPRoute", name+", "+fraction), nil, route.Missing{}, 1},
		"no fraction":       {describing("HTTPRoute", name+", "+plain), nil, route.Missing{MirrorFraction: true}, 1},
		"neither":           {describing("HTTPRoute", plain), nil, route.Missing{RuleNames: true, MirrorFraction: true}, 1},
		"another kind":      {describing("TCPRoute", plain), nil, route.Missing{}, 1},
		"no sense":          {`[]`, nil, route.Missing{}, 1},
		"no right to read":  {"", errors.New("forbidden"), route.Missing{}, 0},
		"an empty document": {`{}`, nil, route.Missing{}, 1},
	} {
		t.Run(test, func(t *testing.T) {
			server := &documents{content: tc.content, err: tc.err}
			schemas := NewSchemas(server)
			for range 2 { // the second one is cached
				if got := schemas.Missing(t.Context(), HTTPRouteKind); got != tc.want {
					t.Errorf("missing = %+v, want %+v", got, tc.want)
				}
			}
			if server.lists != 1 || server.reads != tc.reads {
				t.Errorf("listed %d times and read %d times, want 1 and %d", server.lists, server.reads, tc.reads)
			}
		})
	}
	if got := (*Schemas)(nil).Missing(t.Context(), HTTPRouteKind); got != (route.Missing{}) {
		t.Errorf("nobody knows of %+v", got)
	}
}

// TestSchemasAfterUpgrade checks that a document is read again only if it has changed.
func TestSchemasAfterUpgrade(t *testing.T) {
	server := &documents{hash: "1", content: describing("HTTPRoute", `"name": {}`)}
	schemas := NewSchemas(server)
	look := func() route.Missing {
		schemas.known.Delete(HTTPRouteKind) // as if expired
		return schemas.Missing(t.Context(), HTTPRouteKind)
	}
	if got := []route.Missing{look(), look()}; !got[0].MirrorFraction || !got[1].MirrorFraction || server.reads != 1 {
		t.Errorf("missing = %+v after %d reads, want one read", got, server.reads)
	}
	server.hash = "2"
	server.content = describing("HTTPRoute", `"name": {}, "filters": {"items": {"properties": {"requestMirror": {"properties": {"fraction": {}}}}}}`)
	if got := look(); got != (route.Missing{}) || server.reads != 2 {
		t.Errorf("missing = %+v after %d reads, want none after 2", got, server.reads)
	}
}
