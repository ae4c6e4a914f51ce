// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/canaryrollout/canaryrollout/cmd/kubectl-canary/dashboard"
)

func TestDashboard(t *testing.T) {
	b := newBench(t, paused())
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	code, out, errOut := b.runUntil(ctx, "dashboard")
	if url := regexp.MustCompile(`\n\n  http://127\.0\.0\.1:\d+/\?token=[A-Z2-7]{26}\n\n$`); code != 0 || !url.MatchString(out) {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
}

// TestDashboardNamespaces checks which namespaces are shown, by what the user asks for and may see.
func TestDashboardNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		flag string
		// may are the namespaces whose rollouts the user may list; empty for all at once.
		may                     []string
		namespace, notice, want string
	}{
		"all":                  {may: []string{"", "default"}},
		"all, but not allowed": {may: []string{"default"}, namespace: "default", notice: "namespace default"},
		"one":                  {flag: "shop", may: []string{"shop"}, namespace: "shop"},
		"one, but not allowed": {flag: "shop", may: []string{"default"}, want: "ask an administrator"},
		"none":                 {want: "ask an administrator"},
	} {
		t.Run(name, func(t *testing.T) {
			b := interceptedBench(t, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				of := (&client.ListOptions{}).ApplyOptions(options).Namespace
				if slices.Contains(test.may, of) {
					return c.List(ctx, list, options...)
				}
				return apierrors.NewForbidden(schema.GroupResource{Resource: "canaryrollouts"}, "", nil)
			}})
			b.options.Config = genericclioptions.NewConfigFlags(true)
			*b.options.Config.Namespace = test.flag
			s, err := b.options.open()
			if err != nil {
				t.Fatal(err)
			}
			var options dashboard.Options
			err = s.scope(t.Context(), &options)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || options.Namespace != test.namespace || !strings.Contains(options.Notice, test.notice) || (options.Notice == "") != (test.notice == "") {
				t.Errorf("namespace %q, notice %q, error %v", options.Namespace, options.Notice, err)
			}
		})
	}
}
