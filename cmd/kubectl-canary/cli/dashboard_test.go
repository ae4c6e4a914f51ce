// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
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
		flag        string
		isInCluster bool
		// may are the namespaces whose rollouts the user may list; empty for all at once.
		may          []string
		namespaces   []string
		notice, want string
	}{
		"all":                  {may: []string{"", "default"}},
		"all, but not allowed": {may: []string{"default"}, namespaces: []string{"default"}, notice: "namespace default"},
		"one":                  {flag: "shop", may: []string{"shop"}, namespaces: []string{"shop"}},
		"one, but not allowed": {flag: "shop", may: []string{"default"}, want: "ask an administrator"},
		"some":                 {flag: "shop,books", may: []string{"shop", "books"}, namespaces: []string{"shop", "books"}},
		"not all of some":      {flag: "shop,books", may: []string{"shop"}, want: "ask an administrator"},
		"no name":              {flag: "shop, books", may: []string{"shop"}, want: `" books" is not the name of a namespace`},
		"all, of a pod":        {isInCluster: true, may: []string{"default"}, want: "ask an administrator"},
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
			*b.options.Config.Namespace, b.options.isInCluster = test.flag, test.isInCluster
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
			if err != nil || !slices.Equal(options.Namespaces, test.namespaces) || !strings.Contains(options.Notice, test.notice) || (options.Notice == "") != (test.notice == "") {
				t.Errorf("namespaces %q, notice %q, error %v", options.Namespaces, options.Notice, err)
			}
		})
	}
}

// TestDashboardFlags checks that flags that do not fit together are refused, with what to write instead.
func TestDashboardFlags(t *testing.T) {
	for line, want := range map[string]string{
		"--in-cluster": "as in --host canaries.example.com",
		"--in-cluster --host a.example --port 80":  "set --listen",
		"--host a.example":                         "need --in-cluster",
		"--listen :8080":                           "need --in-cluster",
		"--in-cluster --host a.example --listen a": "choose another address with --listen",
	} {
		b := newBench(t, paused())
		if code, out, errOut := b.run(strings.Fields("dashboard " + line)...); code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("%s: code %d: %s%s", line, code, out, errOut)
		}
	}
}

// TestDashboardInCluster checks that a pod serves without a token, and that a user's kubeconfig is never served by mistake.
func TestDashboardInCluster(t *testing.T) {
	line := strings.Fields("dashboard --in-cluster --host a.example,b.example --listen 127.0.0.1:0")
	b := newBench(t, paused())
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	code, out, errOut := b.runUntil(ctx, line...)
	if want := regexp.MustCompile(`^The dashboard listens on 127\.0\.0\.1:\d+, for a\.example, b\.example\.`); code != 0 || !want.MatchString(out) {
		t.Errorf("code %d: %s%s", code, out, errOut)
	}
	t.Setenv("KUBECONFIG", "testdata/none")
	o := NewOptions(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})
	command := NewCommand(o)
	command.SetArgs(line)
	if err := command.ExecuteContext(t.Context()); !errors.Is(err, rest.ErrNotInCluster) {
		t.Errorf("error %v", err)
	}
}
