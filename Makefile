# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Everything here needs Go, git, make and kubectl, the cluster for tests also iproute2, and the page of the dashboard node and
# npm. Tools are built from the modules below hack/tools on first use and kept in the user's cache folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VERSION ?= v0.1.0
ARCH ?= $(shell go env GOARCH)
ARCHES ?= amd64 arm64
LDFLAGS := -X github.com/canaryrollout/canaryrollout/cmd/version.Version=$(VERSION)
IMG ?= canaryrollout/canaryrollout:$(VERSION)
# The race detector needs a C compiler; without one the tests run all the same.
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),$(if $(shell command -v "$$(go env CC)"),-race))
# A program with it waits for a second before it ends, for races that others may be about to report. There are many here,
# each with nothing left to run by then.
export GORACE := atexit_sleep_ms=0
# The flags of the test cluster's binaries. A package that other programs share with them is compiled once.
SHARED_FLAGS := -trimpath -buildvcs=false -mod=readonly -gcflags=all=-dwarf=false
CLUSTER_UP := CGO_ENABLED=0 go run $(SHARED_FLAGS) ./test/framework/cluster/cmd/cluster-up
DASHBOARD := cmd/kubectl-canary/dashboard
UNITS := ./api/... ./cmd/... ./config/... ./controllers/... ./docs/... ./hack/...

CONTROLLER_GEN = $$(hack/tool.sh codegen sigs.k8s.io/controller-tools/cmd/controller-gen)
CRD_REF_DOCS = $$(hack/tool.sh codegen github.com/elastic/crd-ref-docs)
LINT = $$(hack/tool.sh lint .)

.PHONY: help
help: ## Show what can be made (this text).
	@echo "CanaryRollout. Usage: make TARGET"; awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Code

.PHONY: generate
generate: generate-api page ## Generate all code: deep copies, docs/api.md and the page of the dashboard.

.PHONY: generate-api
generate-api: ## Generate deep copies and docs/api.md from the API types.
	"$(CONTROLLER_GEN)" object:headerFile=hack/boilerplate.go.txt paths=./api/...
	"$(CRD_REF_DOCS)" --source-path=api/v1alpha1 --config=hack/api-docs/config.yaml \
		--templates-dir=hack/api-docs --log-level=ERROR --renderer=markdown --output-path=docs/api.md

.PHONY: page
page: ## Build the page of the dashboard, which is embedded in the plugin. Needs node 20.19 or newer, and npm.
	cd $(DASHBOARD)/web && npm ci && npm run build
	cd $(DASHBOARD) && find web dist -type f -not -path '*/node_modules/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >page.sha256

.PHONY: manifests
manifests: ## Generate the CRDs and the manager's role from the markers in the code, and hand them to the chart.
	"$(CONTROLLER_GEN)" crd:generateEmbeddedObjectMeta=true,maxDescLen=300 paths=./api/... output:crd:dir=config/crd
	go run ./hack/crd config/crd/canaryrollout.dev_*.yaml
	go run ./hack/kustomize config/kustomize/schema.json
	"$(CONTROLLER_GEN)" rbac:roleName=canaryrollout-controller-manager,fileName=role.yaml \
		paths=./controllers/... output:rbac:dir=config/rbac
	hack/chart/generate.sh

.PHONY: fmt
fmt: ## Format the code and sort its imports.
	"$(LINT)" fmt ./...

.PHONY: vet
vet: ## Look for suspicious code with go vet.
	go vet ./...

.PHONY: lint
lint: ## Run all linters.
	"$(LINT)" run ./...

.PHONY: lint-api
lint-api: ## Check the API types against the conventions of Kubernetes APIs.
	"$(LINT)" run --enable-only=kubeapilinter ./api/...

.PHONY: tidy
tidy: ## Tidy the go.mod files, those of the tools too, and align the test cluster's versions with ours.
	GOWORK=$(CURDIR)/hack/tools/shared.work go work sync
	for module in . hack/tools/*/; do (cd "$$module" && go mod tidy); done

.PHONY: verify-page
verify-page: page ## Check that a build of the page makes what is committed. Needs node, npm and its registry; for a clean checkout.
	@git diff --exit-code --stat -- $(DASHBOARD) && test -z "$$(git status --porcelain -- $(DASHBOARD))"

.PHONY: verify
verify: ## Check that generated files, go.mod files, manifests and code are as they should be. Changes nothing.
	hack/verify.sh

##@ Tests

# Suites run one at a time: each has a cluster of its own, and needs both cores. Their managers always have the race
# detector, but for that of e2e, which measures it.
SUITE = go test $(RACE) -vet=off -count=1 -timeout=40m -p=1
# The suites of the targets below. test-framework runs every other package below test/, so that none is forgotten.
SUITES := analysis chart cli crash dashboard disturbances e2e gatewayfaults integration outages routekinds stress
# Packages without goroutines, or of files that tests compare: there are no races to detect.
PURE := /(api|config|convert|docs|hack|lint|table|view|controllers/(analysis|forecast|plan|revision|route))(/|$$)

.PHONY: test
test: test-race test-model test-integration test-e2e ## Run this before you push: unit tests, model check, integration, end to end (10 minutes).

.PHONY: test-all
test-all: test test-more ## Run all tests (50 minutes).

.PHONY: test-more
test-more: test-model-long test-framework test-tools test-dashboard test-gateways test-disturbances test-outages test-analysis test-stress test-docs ## Run what make test leaves out (40 minutes).

.PHONY: test-unit
test-unit: ## Run the tests that need no cluster, without the race detector and the model check (1 minute).
	@hack/tool.sh helm helm.sh/helm/v4/cmd/helm >/dev/null
	go test -short -skip='^TestModel' -count=1 -timeout=10m $(UNITS)

.PHONY: test-race
test-race: ## Run the tests that need no cluster, with the race detector if there is a C compiler (2 minutes).
	@hack/tool.sh helm helm.sh/helm/v4/cmd/helm >/dev/null
	go test -skip='^TestModel' -count=1 -timeout=10m $$(go list $(UNITS) | grep -E '$(PURE)')
	go test $(RACE) -count=1 -timeout=10m $$(go list $(UNITS) | grep -vE '$(PURE)')

.PHONY: test-model
test-model: ## Walk all worlds that the planner can get into, at small scope, and count them (2 minutes).
	GOGC=1600 GOMEMLIMIT=4GiB go test -count=1 -timeout=10m -v -run='^TestModel$$' ./controllers/plan

.PHONY: test-model-long
test-model-long: ## Walk the scopes with half a million worlds and more (3 minutes).
	GOGC=1600 GOMEMLIMIT=4GiB go test -count=1 -timeout=10m -v -run='^TestModelLong$$' ./controllers/plan

.PHONY: test-integration
test-integration: binaries ## Test what is installed, and the operator, against a real API server (3 minutes).
	$(SUITE) ./test/integration

.PHONY: test-e2e
test-e2e: binaries ## Release, abort and break canaries under load through a real gateway (2 minutes).
	$(SUITE) ./test/e2e

.PHONY: test-framework
test-framework: binaries ## Test the test cluster, the strict gateway and the other libraries of tests (1 minute).
	$(SUITE) $$(go list ./test/... | grep -vE '/test/($(subst $() ,|,$(SUITES)))$$')

.PHONY: test-tools
test-tools: binaries ## Test the kubectl plugin, documented scripts and the Helm chart on a cluster (2 minutes).
	$(SUITE) ./test/cli ./test/chart

.PHONY: test-dashboard
test-dashboard: binaries ## Open the dashboard in a real browser. Needs node, npm and Chromium (2 minutes).
	$(SUITE) ./test/dashboard

.PHONY: test-gateways
test-gateways: binaries ## Test gateways that misbehave, and every kind of route (3 minutes).
	$(SUITE) ./test/gatewayfaults ./test/routekinds

.PHONY: test-disturbances
test-disturbances: binaries ## Disturb releases: new versions, failing pods, other writers, migrations, autoscalers (6 minutes).
	$(SUITE) ./test/disturbances

.PHONY: test-outages
test-outages: binaries ## Kill the manager after its writes, and stop parts of the control plane (8 minutes).
	$(SUITE) ./test/crash ./test/outages

.PHONY: test-analysis
test-analysis: binaries ## Let releases judge themselves by the metrics of a real Prometheus (5 minutes).
	$(SUITE) ./test/analysis

.PHONY: test-stress
test-stress: binaries ## Disturb a rollout at random, with fixed seeds (4 minutes). ARGS="-seed=42 -duration=20m" are handed on.
	$(SUITE) -timeout=90m -v ./test/stress $(ARGS)

.PHONY: test-docs
test-docs: binaries ## Type the commands of the documentation, page by page (5 minutes).
	go test -count=1 -timeout=30m -v ./test/docs -pages

.PHONY: test-long
test-long: binaries ## Walk the scopes of the model that take minutes, disturb each write of the manager (hours).
	GOGC=1600 GOMEMLIMIT=4GiB go test -count=1 -timeout=180m -v -run='^TestModel' ./controllers/plan -deep
	go test $(RACE) -count=1 -timeout=120m ./test/crash -long

.PHONY: bench
bench: ## Measure what the manager costs (30 minutes). ARGS="-n=10,50 -baseline=COMMIT" are handed on; -help lists them.
	@CGO_ENABLED=0 go run $(SHARED_FLAGS) ./test/bench $(ARGS)

.PHONY: binaries
binaries: ## Build the binaries of the test cluster that are not there yet (16 minutes the first time).
	$(CLUSTER_UP) -build-only -gateway=traefik -prometheus

.PHONY: tools
tools: ## Build the tools that are not there yet. The other targets build those that they need.
	hack/tool.sh codegen sigs.k8s.io/controller-tools/cmd/controller-gen
	hack/tool.sh codegen github.com/elastic/crd-ref-docs
	hack/tool.sh lint .
	hack/tool.sh helm helm.sh/helm/v4/cmd/helm
	hack/tool.sh prometheus github.com/prometheus/prometheus/cmd/promtool

##@ Try it

.PHONY: demo
demo: ## Release a canary on a cluster of its own, in this terminal. ARGS="..." are handed on.
	@echo "building the demo"; CGO_ENABLED=0 GOGC=300 go build $(SHARED_FLAGS) -o bin/demo ./hack/demo
	@exec bin/demo $(ARGS)

.PHONY: cluster-up
cluster-up: ## Run a Kubernetes cluster with a gateway on this machine until Ctrl-C, without images.
	$(CLUSTER_UP) $(ARGS)

.PHONY: run
run: ## Run the manager here, against the cluster of the current kubectl context.
	go run ./cmd/manager --leader-elect=false --metrics-secure=false $(ARGS)

##@ Build and install

.PHONY: build
build: ## Build the programs into bin/.
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w $(LDFLAGS)" -o bin/ ./cmd/...

.PHONY: build-linux
build-linux: ## Build the programs for the image into bin/linux-ARCH/. ARCH="..." is another architecture.
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -ldflags="-s -w $(LDFLAGS)" -o bin/linux-$(ARCH)/ ./cmd/manager ./cmd/kubectl-canary

.PHONY: docker-build
docker-build: build-linux ## Build the manager's image. IMG="..." is its name, ARCH="..." another architecture.
	docker build --platform=linux/$(ARCH) --build-arg=VERSION=$(VERSION) --build-arg=REVISION=$$(git rev-parse HEAD) --tag=$(IMG) .

.PHONY: docker-push-all
docker-push-all: ## Build the manager's image for all of ARCHES, and push them as the one image IMG.
	for arch in $(ARCHES); do $(MAKE) docker-build ARCH=$$arch IMG=$(IMG)-$$arch; docker push $(IMG)-$$arch; done
	docker buildx imagetools create --tag $(IMG) $(ARCHES:%=$(IMG)-%)

.PHONY: build-installer
build-installer: ## Write all manifests into dist/install.yaml. IMG="..." is the manager's image.
	mkdir -p dist
	hack/install/manifests.sh "$(IMG)" >dist/install.yaml

.PHONY: release-files
release-files: ## Make all files of a release in dist/. IMG="REPOSITORY@DIGEST" is the manager's image, which is pushed already.
	$(MAKE) build-linux ARCH=amd64
	LDFLAGS="$(LDFLAGS)" hack/release/build.sh "$(VERSION)" "$(IMG)"

.PHONY: install
install: ## Install the CRDs alone.
	kubectl apply -k config/crd
	kubectl wait --for=condition=Established --timeout=1m crd/canaryrollouts.canaryrollout.dev crd/canarymetrics.canaryrollout.dev

.PHONY: uninstall
uninstall: ## Remove the CRDs. Refused while there are rollouts.
	@hack/uninstall/check.sh
	kubectl delete --ignore-not-found -k config/crd

.PHONY: deploy
deploy: ## Install everything: CRDs, roles and manager. IMG="..." is the manager's image.
	hack/install/manifests.sh "$(IMG)" | kubectl apply -f -

.PHONY: undeploy
undeploy: ## Remove everything, the CRDs included. Refused while there are rollouts.
	@hack/uninstall/check.sh
	kubectl delete --ignore-not-found -k config/default

.PHONY: clean
clean: ## Remove what was built here. (Tools and cluster binaries are in the user's cache folder, in canaryrollout/.)
	rm -rf bin dist
