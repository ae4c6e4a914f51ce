// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard opens the page of kubectl canary dashboard in a real browser, on a real cluster with an operator, as a user with
// the documented rights. The folder browser has what the browser does; the tests here bring the cluster into position and read the
// audit log. The browser is the Chromium of the machine.
package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// user runs the dashboard.
const user = cluster.Spare1

var env = &harness.Env{}

func TestMain(m *testing.M) {
	harness.Main(m, env, harness.EnvOptions{
		Cluster:  cluster.Options{AuditEveryone: true, ManifestPaths: []string{repository.Path("config", "policies", "users.yaml")}},
		Parallel: 4,
		Build:    []harness.Build{findChromium, installBrowser, buildPlugin},
		Setup:    func(ctx context.Context) error { return errors.Join(bindUser(ctx), env.WaitForPolicies(ctx)) },
	})
}

// These variables hold paths, for the program inside the cluster's namespaces.
const (
	pluginVariable   = "CANARYROLLOUT_PLUGIN"
	chromiumVariable = "CANARYROLLOUT_CHROMIUM"
)

func findChromium(io.Writer) error {
	for _, name := range []string{os.Getenv(chromiumVariable), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return os.Setenv(chromiumVariable, path)
		}
	}
	return errors.New("there is no Chromium on the PATH: install it, for example by apt-get install chromium, or set " + chromiumVariable)
}

// installBrowser installs the packages that control the browser. It does so once, since there is no network in the namespaces.
func installBrowser(progress io.Writer) error {
	if _, err := os.Stat(repository.Path("test", "dashboard", "browser", "node_modules", ".package-lock.json")); err == nil {
		return nil
	}
	command := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	command.Dir = repository.Path("test", "dashboard", "browser")
	command.Stdout, command.Stderr = progress, progress
	if err := command.Run(); err != nil {
		return fmt.Errorf("npm ci in test/dashboard/browser: %w", err)
	}
	return nil
}

func buildPlugin(progress io.Writer) error {
	return repository.Build(progress, pluginVariable, "cmd/kubectl-canary", false)
}

// bindUser gives the user what docs/dashboard.md lists.
func bindUser(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: "dashboard-user"}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"canaryrollout.dev"}, Resources: []string{"canaryrollouts"}, Verbs: []string{"get", "list", "watch", "patch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{""}, Resources: []string{"pods", "events"}, Verbs: []string{"list", "watch"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: string(user)}},
	}
	return errors.Join(env.Admin.Create(ctx, role), env.Admin.Create(ctx, binding))
}

// dashboard is a running dashboard.
type dashboard struct {
	// url contains the token.
	url string
	pid int
}

// start starts the dashboard for all namespaces.
func start(t *testing.T, args ...string) *dashboard {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Getenv(pluginVariable), append([]string{"dashboard"}, args...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(user))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // it was killed
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			return &dashboard{url: line, pid: command.Process.Pid}
		}
	}
	t.Fatal("it printed no URL")
	return nil
}

// browse runs a script of the folder browser on a dashboard.
func (d *dashboard) browse(t *testing.T, script string, environment ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", script)
	command.Dir = repository.Path("test", "dashboard", "browser")
	command.Env = append(append(os.Environ(), "DASHBOARD_URL="+d.url, "DASHBOARD_PID="+strconv.Itoa(d.pid), "HOME="+t.TempDir()), environment...)
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Fatalf("node %s: %v", script, err)
	}
}
