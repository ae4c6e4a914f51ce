// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
)

const (
	// profilerVariable is read by profiler.go.txt.
	profilerVariable = "CANARYROLLOUT_BENCH_PROFILER"
	profilerAddress  = "127.0.0.1:6060"
)

// startProfiles starts CPU profiles of the manager and of the API server, if they were asked for. The returned function
// waits for them, and writes what takes the most time as text.
func (s *stage) startProfiles(ctx context.Context) (finish func() error) {
	if s.options.profile == 0 {
		return func() error { return nil }
	}
	query := fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(s.options.profile.Seconds()))
	var group errgroup.Group
	group.Go(func() error {
		return s.writeProfile(ctx, http.DefaultClient, "http://"+profilerAddress+query, "manager")
	})
	group.Go(func() error {
		client, err := rest.HTTPClientFor(s.cluster.RESTConfig(cluster.Admin))
		if err != nil {
			return err
		}
		return s.writeProfile(ctx, client, "https://"+cluster.APIAddress+query, "api-server")
	})
	return group.Wait
}

// writeProfile fetches a profile, and writes it and the twenty functions that take the most time.
func (s *stage) writeProfile(ctx context.Context, client *http.Client, url, process string) error {
	content, err := fetch(ctx, client, url)
	if err != nil {
		return fmt.Errorf("profile of the %s: %w", process, err)
	}
	file := filepath.Join(s.options.out, fmt.Sprintf("profile-%s-%d-%s", s.version.Name, s.n, process))
	if err := os.MkdirAll(s.options.out, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file+".pb.gz", content, 0o644); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=20", file+".pb.gz")
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		return fmt.Errorf("go tool pprof: %w", err)
	}
	return os.WriteFile(file+".txt", text, 0o644)
}

func fetch(ctx context.Context, client *http.Client, url string) (content []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if content, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, content)
	}
	return content, nil
}
