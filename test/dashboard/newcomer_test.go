// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/canaryrollout/canaryrollout/test/framework/builder"
	"github.com/canaryrollout/canaryrollout/test/framework/harness"
	"github.com/canaryrollout/canaryrollout/test/framework/repository"
)

// blueGreen is a Rollout of Argo Rollouts without weights.
const blueGreen = builder.Services + `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  parentRefs: [{name: http-gateway, namespace: default}]
  hostnames: [%[1]s.example.com]
  rules: [{backendRefs: [{name: %[2]s-stable, port: 9080}]}]
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[2]s-rollout, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: %[2]s, image: %[3]s}]}
  strategy:
    blueGreen: {activeService: %[2]s-stable, previewService: %[2]s-canary, autoPromotionEnabled: false}
`

// newcomer is a user of another tool, who types the commands of a page.
type newcomer struct {
	page, namespace, manifests string
	// names are pairs of what the page calls something, and what this user calls it.
	names []string
	// image is the new image of a container.
	image string
	// namesGateway has the user name a Gateway. hasLosses is whether something is lost.
	namesGateway, hasLosses bool
	// stops are where the release waits: the step, its weight, and the button that ends it.
	stops string
}

const (
	fromArgo    = "coming-from-argo-rollouts.md"
	fromFlagger = "coming-from-flagger.md"
	newReviews  = "reviews=" + builder.ImageV2
	newWeb      = "web=registry.example.com/shop/web:2.4.2"
	newPodinfo  = "podinfo=ghcr.io/stefanprodan/podinfo:6.0.1"
)

// TestNewcomer does what the pages about other tools say: it converts and checks the manifests, deploys the result, and releases another
// image. A browser shows the release on a desktop and on a phone while it runs, and a sink gets its transitions.
func TestNewcomer(t *testing.T) {
	inTestdata := func(name string) string {
		content, err := os.ReadFile(repository.Path("cmd", "kubectl-canary", "convert", "testdata", name, "in.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	newcomers := map[string]newcomer{
		"argo": {
			page: fromArgo, namespace: "default", manifests: inTestdata("argo-gateway"), image: newReviews,
			stops: `[[3, 0, "Promote"], [5, 10, "Promote fully"]]`,
		},
		"blue-green": {
			page: fromArgo, namespace: "blue-green", manifests: fmt.Sprintf(blueGreen, "blue-green", "reviews", builder.ImageV1), image: newReviews,
			stops: `[[2, 0, "Promote"]]`,
		},
		"nginx": {
			page: fromArgo, namespace: "shop", manifests: inTestdata("argo-nginx"), namesGateway: true, hasLosses: true,
			names: []string{"reviews-rollout", "shop-web", newReviews, newWeb}, image: newWeb,
			stops: `[[2, 5, "Promote"], [4, 33, "Promote fully"]]`,
		},
		"flagger": {
			page: fromFlagger, namespace: "flagger", hasLosses: true, image: newPodinfo,
			manifests: fmt.Sprintf(builder.FlaggerCanary, "flagger", "podinfo", "ghcr.io/stefanprodan/podinfo:6.0.0"),
			stops:     `[[3, 50, "Promote"]]`,
		},
	}
	received := inboxes{}
	for _, n := range newcomers {
		received[n.namespace] = make(chan string, 100)
	}
	env.Notify(t, received, "[{name: audit, cloudEvents: {url: '%s'}, default: true}]")
	for name, n := range newcomers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := env.Terminal(t, n.namespace)
			if n.namespace != "default" {
				s.Run("kubectl create namespace " + n.namespace)
			}
			s.Install("kubectl-canary", os.Getenv(pluginVariable))
			name := n.deploy(t, s)
			_, image, _ := strings.Cut(n.image, "=")
			start(t).browse(t, "newcomer.test.mjs", "DASHBOARD_NAMESPACE="+n.namespace, "DASHBOARD_ROLLOUT="+name, "DASHBOARD_STOPS="+n.stops, "DASHBOARD_IMAGE="+image)
			revisions := strings.Fields(s.Run("kubectl get canaryrollout " + name + " -o jsonpath='{.status.history[*].revision}'"))
			if len(revisions) != 2 {
				t.Fatalf("the history has %v", revisions)
			}
			received.check(t, n.namespace, revisions[1], revisions[0])
		})
	}
}

// deploy types the commands of the page up to the dashboard, and returns the name of the rollout.
func (n newcomer) deploy(t *testing.T, s *harness.Terminal) (name string) {
	t.Helper()
	n.write(t, s)
	blocks := harness.Documented(t, n.page, "## Convert the manifests")
	convert, check, try := blocks[0], blocks[len(blocks)-2], blocks[len(blocks)-1]
	if n.namesGateway {
		convert = blocks[1]
	}
	if report, err := s.Try(convert); (err != nil) != n.hasLosses || n.hasLosses != strings.Contains(report, "found 0 errors and ") {
		t.Fatalf("%s: %v\n%s", convert, err, report)
	}
	s.Run(check)
	release, isDashboard := strings.CutSuffix(strings.NewReplacer(n.names...).Replace(try), "kubectl canary dashboard\n")
	if !isDashboard || !strings.Contains(release, n.image) {
		t.Fatalf("the page has these commands:\n%s", release)
	}
	s.Run(release)
	_, name, _ = strings.Cut(strings.TrimSpace(s.Run("kubectl get canaryrollouts -o name")), "/")
	return name
}

// write writes the manifests into the files that the page names.
func (n newcomer) write(t *testing.T, s *harness.Terminal) {
	t.Helper()
	files := map[string]string{"deploy/rollout.yaml": n.manifests}
	if n.page == fromFlagger {
		canary, deployment, _ := strings.Cut(n.manifests, "---\n")
		files = map[string]string{"canary.yaml": canary, "deployment.yaml": deployment}
	}
	for name, content := range files {
		file := filepath.Join(s.Dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// inboxes are what a sink gets from each namespace: the types of the transitions with the revision. Completed steps are left out: which of
// them are sent depends on how long they take.
type inboxes map[string]chan string

func (i inboxes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got harness.Notification
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	transition := strings.TrimPrefix(got.Type, "dev.canaryrollout.release.")
	if inbox, isOurs := i[got.Data.Namespace]; isOurs && transition != "stepcompleted" {
		inbox <- transition + " " + got.Subject
	}
}

// check waits for the transitions of the first deploy and of the release.
func (i inboxes) check(t *testing.T, namespace, first, second string) {
	t.Helper()
	want := []string{
		"started " + first, "promoted " + first,
		"started " + second, "paused " + second, "resumed " + second, "promoting " + second, "promoted " + second,
	}
	var got []string
	for late := time.After(20 * time.Second); len(got) < len(want); {
		select {
		case transition := <-i[namespace]:
			got = append(got, transition)
		case <-late:
			t.Fatalf("the sink got %q, want %q", got, want)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the sink got %q, want %q", got, want)
	}
}
