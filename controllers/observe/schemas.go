// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilcache "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/openapi"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/canaryrollout/canaryrollout/controllers/route"
)

const (
	// completeTTL is how long a schema that has every field is cached. A schema seldom loses a field, and writes are
	// validated strictly.
	completeTTL = time.Hour
	// incompleteTTL is for a schema that lacks a field: an upgrade of the Gateway API adds it.
	incompleteTTL = featuresTTL
)

// Schemas knows which optional fields of routes the cluster serves. The API server drops the others without an error,
// and half a filter means something other than the whole: without its fraction, a mirror copies every request. It
// reads the OpenAPI document of the Gateway API, which every user may do, and only when a release needs it. It is
// safe for concurrent use; a nil Schemas knows nothing.
type Schemas struct {
	client openapi.ClientWithContext

	mu sync.Mutex
	// known are the missing fields by kind.
	known *utilcache.Expiring
	// read is the last document by kind. Its address contains a hash, which shows whether the document has changed.
	read map[schema.GroupVersionKind]document
}

type document struct {
	address string
	missing route.Missing
}

// NewSchemas returns a Schemas that asks the API server through this client.
func NewSchemas(client openapi.ClientWithContext) *Schemas {
	return &Schemas{client: client, known: utilcache.NewExpiring(), read: map[schema.GroupVersionKind]document{}}
}

// Missing returns the fields that the served schema of a kind of routes lacks. A failed read is not an error: it must
// never block a pass, and the API server rejects the write in that case.
func (s *Schemas) Missing(ctx context.Context, kind schema.GroupVersionKind) route.Missing {
	if s == nil {
		return route.Missing{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, isKnown := s.known.Get(kind); isKnown {
		return known.(route.Missing)
	}
	found, err := s.ask(ctx, kind)
	if err != nil {
		ctrl.LoggerFrom(ctx).V(1).Info("Cannot read the schema of a kind of routes", "kind", kind.Kind, "reason", err.Error())
	}
	ttl := completeTTL
	if err != nil || found != (route.Missing{}) {
		ttl = incompleteTTL
	}
	s.known.Set(kind, found, ttl)
	return found
}

func (s *Schemas) ask(ctx context.Context, kind schema.GroupVersionKind) (route.Missing, error) {
	paths, err := s.client.PathsWithContext(ctx)
	if err != nil {
		return route.Missing{}, err
	}
	path := "apis/" + kind.GroupVersion().String()
	served, isServed := paths[path]
	if !isServed {
		return route.Missing{}, fmt.Errorf("the API server has no OpenAPI document %s", path)
	}
	address := served.ServerRelativeURL()
	if last := s.read[kind]; last.address == address {
		return last.missing, nil
	}
	data, err := served.SchemaWithContext(ctx, runtime.ContentTypeJSON)
	if err != nil {
		return route.Missing{}, err
	}
	missing, err := missingFields(data, kind)
	if err == nil {
		s.read[kind] = document{address, missing}
	}
	return missing, err
}

// node is the part of a schema that lists its fields.
type node struct {
	Properties map[string]node           `json:"properties"`
	Items      *node                     `json:"items"`
	Kinds      []metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
}

func missingFields(data []byte, kind schema.GroupVersionKind) (route.Missing, error) {
	var served struct {
		Components struct {
			Schemas map[string]node `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(data, &served); err != nil {
		return route.Missing{}, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	for _, root := range served.Components.Schemas {
		if slices.Contains(root.Kinds, metav1.GroupVersionKind(kind)) && root.has("spec.rules") {
			return route.Missing{
				RuleNames:      !root.has("spec.rules.name"),
				MirrorFraction: !root.has("spec.rules.filters.requestMirror.fraction"),
			}, nil
		}
	}
	return route.Missing{}, fmt.Errorf("the OpenAPI document does not describe %s", kind.Kind)
}

// has reports whether there is a field. A path descends through lists.
func (n node) has(path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		next, found := n.Properties[name]
		if !found {
			return false
		}
		if n = next; n.Items != nil {
			n = *n.Items
		}
	}
	return true
}
