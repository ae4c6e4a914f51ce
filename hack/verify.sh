#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Checks all that a person could forget. It changes nothing in the working tree, so it says the same there, with edits
# under way, as in CI: what is generated is generated again in a copy and compared.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# check NAME COMMAND...: runs a check and remembers when it failed.
check() {
	echo "verify: $1" >&2
	if ! "${@:2}"; then
		failed+=("$1")
	fi
}

# sources lists the files that belong to the repository or are about to, as they are on disk.
sources() {
	git ls-files --cached --others --exclude-standard -z -- "$@" | while IFS= read -r -d '' file; do
		if [[ -f $file ]]; then printf '%s\0' "$file"; fi
	done
}

generated_is_current() {
	local file ok=0
	mkdir "$work/copy"
	sources | tar --create --null --files-from=- | tar --extract --directory="$work/copy"
	make -C "$work/copy" generate-api manifests >"$work/log" 2>&1 || { cat "$work/log" >&2 && return 1; }
	for file in api/v1alpha1/zz_generated.deepcopy.go docs/api.md config/crd config/rbac config/chart/files config/kustomize; do
		diff --recursive --unified "$file" "$work/copy/$file" || ok=1
	done
	[[ $ok == 0 ]] || echo "generated files are out of date: run make generate-api manifests" >&2
	return $ok
}

# page_is_current compares the page and its sources with what they were at the last build, which takes no node.
page_is_current() {
	(cd cmd/kubectl-canary/dashboard && sha256sum --check --quiet page.sha256) || { echo "run make page" >&2 && return 1; }
}

modules_are_tidy() {
	local module ok=0
	for module in . hack/tools/*/; do
		(cd "$module" && go mod tidy -diff) || { ok=1 && echo "$module/go.mod is not tidy: run make tidy" >&2; }
	done
	return $ok
}

manifests_build() {
	local folder ok=0
	while IFS= read -r -d '' file; do
		folder=$(dirname "$file")
		kubectl kustomize "$folder" >/dev/null || { ok=1 && echo "$folder does not build" >&2; }
	done < <(sources '*/kustomization.yaml')
	return $ok
}

alert_rules_hold() {
	local promtool
	promtool=$(hack/tool.sh prometheus github.com/prometheus/prometheus/cmd/promtool) || return 1
	"$promtool" check rules config/alerts/rules.yaml && "$promtool" test rules config/alerts/rules_test.yaml
}

headers_are_there() {
	local file ok=0
	while IFS= read -r -d '' file; do
		if ! head -n 6 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
			ok=1 && echo "$file has no licence header" >&2
		fi
	done < <(sources '*.go' '*.sh' '*.lua' Makefile Dockerfile .ci/run)
	return $ok
}

code_is_formatted() {
	local unformatted
	unformatted=$(sources '*.go' | xargs -0 gofmt -l)
	[[ -z $unformatted ]] || { echo "run make fmt for: $unformatted" >&2 && return 1; }
}

check "licence headers" headers_are_there
check "formatting" code_is_formatted
check "tidy modules" modules_are_tidy
check "generated files" generated_is_current
check "page of the dashboard" page_is_current
check "kustomizations" manifests_build
check "chart" go test -count=1 ./hack/chart
check "alert rules" alert_rules_hold
check "vet" make vet
check "lint" make lint

if ((${#failed[@]})); then
	printf 'verify: FAILED: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "verify: all well" >&2
