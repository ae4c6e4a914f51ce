// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/helm"
)

// Reasons to skip commands.
const (
	needsImage   = "it needs a container engine or an image"
	needsNetwork = "it needs the internet"
	needsTool    = "it needs another tool, which is not in these tests"
	isTheCluster = "the test has its cluster already"
	isTested     = "another test runs it, under load"
	isARace      = "it shows what happens when another user was faster"
)

// TestPages runs all pages: first those with releases, in parallel, each in its own namespace; then the page that installs
// and uninstalls for the whole cluster.
func TestPages(t *testing.T) {
	if !*pages {
		t.Skip("takes minutes: make test-docs")
	}
	began := open(t, "docs/getting-started.md", "default")
	began.leave("make cluster-up", isTheCluster)
	operate := *began.Terminal
	operate.Dir = root
	stop := operate.Start(began.next("make install run"), "Starting workers")

	t.Run("pages", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"getting-started": func(t *testing.T) { testGettingStarted(t, began) },
			"readme":          testReadme, "shop": testCLI, "planning": testPlanning, "operations": testOperations,
			"deployment": testDeployment, "argo": testArgo, "flagger": testFlagger, "elsewhere": testElsewhere,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	t.Run("install", func(t *testing.T) { testInstall(t, stop) })
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, read := wasRead.Load("docs/" + filepath.Base(name)); !read {
			t.Errorf("no test reads docs/%s", filepath.Base(name))
		}
	}
}

// open opens a page in a new terminal and namespace. The terminal's folder has the files of a clone, and the programs that
// the pages say how to install.
func open(t *testing.T, name, namespace string) *page {
	t.Helper()
	terminal := env.Terminal(t, namespace)
	if namespace != "default" {
		terminal.Run("kubectl create namespace " + namespace)
	}
	for _, folder := range []string{"config", "bin"} {
		if err := os.Symlink(filepath.Join(root, folder), filepath.Join(terminal.Dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	terminal.Install("helm", helm.Binary())
	terminal.Install("kubectl-canary", filepath.Join(root, "bin", "kubectl-canary"))
	terminal.Variables = append(terminal.Variables, "GATEWAY=http://"+cluster.GatewayAddress,
		"HELM_CACHE_HOME="+terminal.Dir, "HELM_CONFIG_HOME="+terminal.Dir, "HELM_DATA_HOME="+terminal.Dir)
	return read(t, terminal, name)
}

// deploySample deploys the sample with its own hostname in the namespace of the page.
func deploySample(p *page, namespace string) {
	p.t.Helper()
	sample := p.Run("kubectl kustomize config/samples/reviews")
	sample = strings.ReplaceAll(sample, "www.bookinfo.com", namespace+".example.com")
	sample = strings.ReplaceAll(sample, "name: http-gateway\n", "name: http-gateway\n    namespace: "+cluster.GatewayNamespace+"\n")
	write(p, "sample.yaml", sample)
	p.Run("kubectl apply -f sample.yaml && kubectl wait --for=condition=Ready --timeout=2m canaryrollout/reviews")
}

func write(p *page, name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// release starts a release of a new image, and waits for its first pause.
func release(p *page, version string) {
	p.t.Helper()
	p.Run("kubectl canary set image reviews reviews=istio/examples-bookinfo-reviews-" + version + ":1.20.2")
	p.until("{.status.pause.reason}", "PauseStep")
}

// until waits for a value of a field of the rollout.
func (p *page) until(path, value string) {
	p.t.Helper()
	p.Run("kubectl wait --for=jsonpath='" + path + "'=" + value + " --timeout=3m canaryrollout/reviews")
}

// shows checks that an output matches what the documentation shows.
func (p *page) shows(output, pattern string) {
	p.t.Helper()
	if !regexp.MustCompile(pattern).MatchString(output) {
		p.t.Errorf("%s: want %q:\n%s", p.name, pattern, output)
	}
}

func testGettingStarted(t *testing.T, began *page) {
	// The rest of the page is another test, which can fail alone.
	p := read(t, began.Terminal, began.name)
	p.leave("kind create", needsNetwork)
	p.leave("make docker-build", needsImage)
	p.leave("kubectl apply -k config/samples/gateway", "it is for kgateway")
	p.leave("make cluster-up", isTheCluster)
	p.leave("make install run", "it runs all the time")
	p.leave("export GATEWAY=", "its value is another one each time")

	p.run("kubectl apply -k config/samples/reviews")
	p.shows(p.run("kubectl wait --for=condition=Ready"), `reviews +Healthy +12/12 +100 .* 4/4`)
	stable := p.run("curl")
	p.watch("kubectl patch", "Paused        3/12   0")
	p.shows(p.run("kubectl get canaryrollout reviews -o jsonpath='{.status.message}"), "^paused until promoted: kubectl -n default annotate")
	curls := p.lines("curl")
	// A gateway applies a route some time after it has reported it.
	p.Run("until " + curls[1] + " | grep -v '^" + revisionOf(strings.TrimSpace(stable)) + "'; do sleep 0.2; done")
	both := strings.Fields(p.Run(strings.Join(curls, "\n")))
	if len(both) != 2 || revisionOf(both[0]) != revisionOf(strings.TrimSpace(stable)) || revisionOf(both[1]) == revisionOf(both[0]) {
		t.Errorf("the customer and the tester got %q, and before was %q", both, stable)
	}
	p.shows(p.run("kubectl get httproute"), `^canaryrollout-reviews-qa-0: reviews-canary=997 \n: reviews-canary=0 reviews-stable=100 \n$`)
	p.watch("kubectl annotate", "Healthy       12/12   100")
	p.shows(p.run("kubectl patch"), `\nAborted: revision \w+ was aborted \(too many errors\), revision \w+ serves`)
	p.run("kubectl patch")
	p.run("kubectl patch")
	p.shows(p.run("kubectl get canaryrollout reviews -o jsonpath='{range .status.history"),
		`^\w+  Promoted  \S+-v1:\S+\n\w+  Aborted  \S+-v3:\S+\n\w+  Promoted  \S+-v2:\S+\n\w+  Promoted  \S+-v1:\S+\n$`)
	p.run("kubectl delete")
	p.end()
}

// revisionOf returns the revision of the pod with this name.
func revisionOf(pod string) string { return pod[:strings.LastIndex(pod, "-")] }

func testReadme(t *testing.T) {
	p := open(t, "README.md", "readme")
	p.leave("make demo", "it runs all of this")
	p.leave("make docker-build", needsImage) // testInstall runs its last command
	deploySample(p, "readme")
	p.run("kubectl patch")
	p.until("{.status.step}", "3/12")
	p.shows(p.run("kubectl get cro"), `NAME +STATUS +STEP +WEIGHT +REVISION +READY +AGE\nreviews +Paused +3/12 +0 +\w+ +5/5`)
	commands := p.lines("kubectl annotate")
	promote, full, guarded, abort, retry := commands[0], commands[1], commands[2], commands[3], commands[4]
	p.Run(guarded) // for a revision that does not exist: nothing happens
	p.Run("until kubectl events --for canaryrollout/reviews | grep -q CommandIgnored; do sleep 0.2; done")
	p.Run(promote)
	p.until("{.status.step}", "5/12")
	p.Run(abort)
	p.until("{.status.state}", "Aborted")
	p.Run(retry)
	p.until("{.status.step}", "3/12")
	p.Run(full)
	p.until("{.status.state}", "Healthy")

	release(p, "v3")
	commands = p.lines("export PATH=")
	path, plan, watch, promote, status := commands[0], commands[1], commands[2], commands[3], commands[4]
	p.shows(p.Run(path+"; "+plan), "Stable after ")
	p.Start(watch, "paused until promoted: kubectl canary promote reviews")()
	p.Run(promote)
	p.shows(p.Run(status), `(?m)^Healthy .* serves all traffic$`)
	p.end()
}

func testCLI(t *testing.T) {
	p := open(t, "docs/cli.md", "shop") // the page names this namespace
	install, complete := p.next("make build"), p.next("ln -s")
	local := filepath.Join(p.Dir, "local") + "/"
	if err := os.Mkdir(local, 0o755); err != nil {
		t.Fatal(err)
	}
	p.Variables = append(p.Variables, "PATH="+local+":"+os.Getenv("PATH"))
	inRoot := *p.Terminal
	inRoot.Dir = root
	for _, commands := range []string{install, complete} {
		inRoot.Run(strings.ReplaceAll(commands, "/usr/local/bin/", local)) // without changes to the machine
	}
	deploySample(p, "shop")
	p.shows(p.Run("kubectl_complete-canary promote rev"), `(?m)^reviews`)
	p.shows(p.run("kubectl canary list"), `reviews +\S* ?Healthy +12/12 +100`)
	p.shows(p.run("kubectl canary status"), "^Healthy ")
	p.leave("echo $?", "the test reads it")
	p.leave("kubectl canary promote", isARace)

	p.shows(p.run("kubectl canary set image"), `next: step 1/12, setCanaryScale 1 pod`)
	p.refused("kubectl canary set image", `has no container "web"; there is reviews`)
	p.until("{.status.step}", "3/12")
	p.shows(p.run("kubectl canary get"), `Paused, step 3/12`)
	p.shows(p.run("kubectl canary history"), `InProgress`)
	p.shows(p.run("kubectl canary history reviews --steps"), `setHeaderRoute`)
	p.refused("kubectl canary promote reviews --at", "it should be at 7d5c8b6f4x/3, but is at ")
	p.shows(p.run("kubectl canary pause"), "stays where it is until: kubectl canary resume reviews")
	p.shows(p.run("kubectl canary resume"), "continues where it was")
	p.run("kubectl canary abort")
	p.until("{.status.state}", "Aborted")
	p.shows(p.run("kubectl canary retry"), "^retrying revision")
	p.until("{.status.step}", "3/12")
	p.shows(p.Run("kubectl canary undo reviews"), "the release ends")
	p.until("{.status.state}", "Healthy")

	release(p, "v2")
	p.shows(p.run("kubectl canary promote reviews"), "^promoted reviews at step 3/12")
	p.until("{.status.step}", "5/12")
	p.shows(p.run("kubectl canary promote reviews --full"), "^promoted reviews to the end")
	write(p, "canaryrollout.yaml", p.Run("sed s/reviews-v1/reviews-v2/ config/samples/reviews/canaryrollout.yaml"))
	p.shows(p.run("kubectl apply -f canaryrollout.yaml"), `(?m)^Healthy .* serves all traffic$`)
	p.shows(p.run("kubectl canary undo"), "to reviews again")
	p.Run("kubectl canary abort reviews")
	p.leave("kubectl canary convert", "the files are only examples")
	p.leave("kubectl canary dashboard", "the page about it runs it")
	p.shows(p.run("kubectl canary version"), "^kubectl-canary v")
	p.end()
}

func testPlanning(t *testing.T) {
	p := open(t, "docs/planning.md", "planning")
	deploySample(p, "planning")
	release(p, "v2")
	p.shows(p.run("kubectl canary plan"), `(?s)the next release.*Stable after 2m20s\+, done after 2m55s\+.*reviews`)
	p.Run("mkdir deploy && cp -r config/samples/reviews/. deploy")
	p.run("kubectl canary lint")
	p.end()
}

func testOperations(t *testing.T) {
	p := open(t, "docs/operations.md", "operations")
	deploySample(p, "operations")
	p.shows(p.run("kubectl events"), "RolloutPromoted")
	p.leave("kubectl get canaryrollout reviews -o jsonpath='{.status.manager}", "the manager of these tests has no lease and no shards")
	p.shows(p.run("kubectl get canaryrollout"), `(?m)^Ready=True `)
	p.leave("kubectl apply -f config/policies/commands.yaml", isTested)
	p.leave("kubectl create rolebinding releases", isTested)
	p.leave("kubectl apply -f config/policies/users.yaml", isTested)
	p.leave("make bench", "it takes half an hour")
	p.end()

	p = read(t, p.Terminal, "docs/troubleshooting.md")
	p.run("kubectl get canaryrollout reviews -o jsonpath='{.status.message}")
	p.run("kubectl get canaryrollout reviews -o jsonpath='{.status.conditions")
	p.run("kubectl get canaryrollout reviews -o jsonpath='{.status.conditions")
	p.run("kubectl get canarymetrics -A")
	p.leave("kubectl -n canaryrollout-system get pods,leases", "the simulated pods have no log")
	p.leave("kubectl -n canaryrollout-system get leases", "the manager of these tests has no lease")
	for range 2 {
		p.leave("kubectl -n canaryrollout-system logs", "the simulated pods have no log")
	}
	p.shows(p.run("kubectl get rs"), `(?m)^reviews-\w+ +4 +4 +4`)
	p.end()
}

// testElsewhere has the pages whose commands other tests run as written.
func testElsewhere(t *testing.T) {
	p := open(t, "docs/health.md", "elsewhere")
	for range 6 {
		p.leave("kubectl ", isTested)
	}
	p.leave("# status", isTested)
	p.leave("kubectl -n argocd", needsTool)
	p.leave("kubectl -n argocd", needsTool)
	p.end()
	p = read(t, p.Terminal, "docs/concepts.md")
	p.leave("kubectl delete deployment", isTested)
	p.end()
	p = read(t, p.Terminal, "docs/analysis.md")
	p.leave("kubectl apply -k config/samples/metrics", isTested)
	p.end()
	p = read(t, p.Terminal, "docs/dashboard.md")
	p.watch("kubectl canary dashboard", "/?token=")
	p.leave("helm upgrade", needsImage)
	p.end()
	p = read(t, p.Terminal, "docs/notifications.md")
	write(p, "body.json", "{}")
	p.run("key=")
	p.end()
	p = read(t, p.Terminal, "docs/backup.md")
	p.leave("kubectl annotate canaryrollout reviews", isTested)
	p.leave("kubectl patch service reviews-stable", "the pages have no rollout that has lost its ReplicaSet")
	p.end()
	for _, name := range []string{"gitops", "design", "index", "api"} {
		read(t, p.Terminal, "docs/"+name+".md").end()
	}
}

func needsJQ(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("the commands of this page need jq")
	}
}
