// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// A binary is a program of the cluster, built from a module under hack/tools.
type binary struct {
	name     string
	tools    string // folder below hack/tools whose module pins it
	pkg      string // the package to build
	module   string // the module whose version the binary reports
	stamp    string // the variable to link the version into, if any; a trailing "v" keeps the v
	tags     string // build tags
	estimate string // build time on two cores with an empty Go build cache
}

// binaries are in the order that builds fastest: packages they share are compiled for the first one.
var binaries = []binary{
	{name: "etcd", tools: "kubernetes", pkg: "go.etcd.io/etcd/server/v3", module: "go.etcd.io/etcd/server/v3", estimate: "1 min"},
	kubernetesBinary("kube-apiserver", "5 min"),
	kubernetesBinary("kube-controller-manager", "1.5 min"),
	kubernetesBinary("kube-scheduler", "10 s"),
	{name: "kwok", tools: "kubernetes", pkg: "sigs.k8s.io/kwok/cmd/kwok", module: "sigs.k8s.io/kwok", estimate: "1 min"},
	// Its service discoveries are left out: what is scraped here has a fixed address.
	{name: Prometheus, tools: "prometheus", pkg: "github.com/prometheus/prometheus/cmd/prometheus", module: "github.com/prometheus/prometheus",
		tags: "remove_all_sd", estimate: "3 min"},
	{name: Traefik, tools: "traefik", pkg: "github.com/traefik/traefik/v3/cmd/traefik", module: "github.com/traefik/traefik/v3", estimate: "5 min"},
}

func kubernetesBinary(name, estimate string) binary {
	const module = "k8s.io/kubernetes"
	return binary{name: name, tools: "kubernetes", pkg: module + "/cmd/" + name, module: module,
		stamp: "k8s.io/component-base/version.gitVersion", estimate: estimate}
}

// assets holds the absolute paths of the files that a cluster is made from.
type assets struct {
	Binaries   map[string]string
	GatewayAPI string // folder with one subfolder of CRDs per channel
}

// Build builds the binaries of a cluster with these options that are missing from the user's cache folder, and reports
// what it does to progress. Binaries in the folder KUBEBUILDER_ASSETS are used as they are. [Isolate] builds those of a
// cluster without options unless Build was called before. Build needs the Go module proxy or a filled module cache, so it
// does nothing inside the namespaces, where a program inherits what was built.
func Build(ctx context.Context, progress io.Writer, options Options) error {
	if os.Getenv(assetsVariable) != "" {
		return nil
	}
	found, err := findAssets(ctx, progress, options)
	if err != nil {
		return err
	}
	value, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return os.Setenv(assetsVariable, string(value))
}

// binariesFor returns what a cluster with these options runs.
func binariesFor(options Options) []binary {
	hasTraefik := cmp.Or(options.Gateway, TraefikGateway) == TraefikGateway
	return slices.DeleteFunc(slices.Clone(binaries), func(b binary) bool {
		return b.name == Traefik && !hasTraefik || b.name == Prometheus && !options.Prometheus
	})
}

func findAssets(ctx context.Context, progress io.Writer, options Options) (*assets, error) {
	root, found := repository.Path(), &assets{Binaries: map[string]string{}}
	for _, b := range binariesFor(options) {
		path, err := b.ensure(ctx, root, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		found.Binaries[b.name] = path
	}
	crds, err := goCommand(ctx, root, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	if err == nil && crds == "" { // known, but not in the module cache
		_, err = goCommand(ctx, root, "mod", "download", "sigs.k8s.io/gateway-api")
		if err == nil {
			crds, err = goCommand(ctx, root, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
		}
	}
	found.GatewayAPI = filepath.Join(crds, "config", "crd")
	return found, err
}

// ensure returns the path of the binary and builds it if it is missing.
func (b binary) ensure(ctx context.Context, root string, progress io.Writer) (string, error) {
	if given := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), b.name); filepath.IsAbs(given) && isFile(given) {
		return given, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep the binary in (set HOME or XDG_CACHE_HOME): %w", err)
	}
	module := filepath.Join(root, "hack", "tools", b.tools)
	version, hash, err := b.identity(module)
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "canaryrollout")
	path := filepath.Join(cache, b.name+"-"+version+"-"+hash, b.name)
	if isFile(path) {
		return path, nil
	}
	unlock, err := lock(cache, progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFile(path) { // another process built it while this one waited
		return path, nil
	}
	return path, b.build(ctx, module, version, path, progress)
}

// build writes to a temporary folder next to the final one, so that path is either complete or absent.
func (b binary) build(ctx context.Context, module, version, path string, progress io.Writer) error {
	fmt.Fprintf(progress, "building %s %s, about %s the first time\n", b.name, version, b.estimate)
	began := time.Now()
	temporary, err := os.MkdirTemp(filepath.Dir(filepath.Dir(path)), "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	args := append(b.flags(version), "-o", filepath.Join(temporary, b.name), b.pkg)
	if _, err := goCommand(ctx, module, append([]string{"build"}, args...)...); err != nil {
		return err
	}
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Dir(path)); err != nil {
		return err
	}
	fmt.Fprintf(progress, "building %s done in %s\n", b.name, time.Since(began).Round(time.Second))
	return nil
}

func (b binary) flags(version string) []string {
	link := "-s -w"
	if b.stamp != "" {
		link += " -X " + b.stamp + "=" + version
	}
	flags := append(repository.BuildFlags(), "-ldflags="+link)
	if b.tags != "" {
		flags = append(flags, "-tags="+b.tags)
	}
	return flags
}

// identity returns the version of the binary's module and a hash of everything that determines the build.
func (b binary) identity(dir string) (version, hash string, err error) {
	pins, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", "", err
	}
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", "", err
	}
	version = requiredVersion(string(pins), b.module)
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s %s %q\n", pins, sums, runtime.GOOS, runtime.GOARCH, b.flags(version))
	return version, hex.EncodeToString(sum.Sum(nil))[:12], nil
}

func requiredVersion(gomod, module string) string {
	lines := bufio.NewScanner(strings.NewReader(gomod))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1]
		}
	}
	return "unknown"
}

// lock keeps two processes from building at the same time.
func lock(dir string, progress io.Writer) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	if syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		fmt.Fprintln(progress, "waiting for another process that builds the cluster's binaries")
		if err := syscall.Flock(fd, syscall.LOCK_EX); err != nil {
			return nil, fmt.Errorf("locking %s: %w", file.Name(), err)
		}
	}
	return func() { file.Close() }, nil
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOGC=300")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s in %s: %w\n%s", cmd, dir, err, exit.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
