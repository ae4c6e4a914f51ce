#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Makes all files of a release in dist/, for an image that has been pushed already:
#
#   hack/release/build.sh VERSION REPOSITORY@DIGEST
#
# make release-files calls it with the flags of make build in LDFLAGS, after the manager's binary is built. The same commit
# makes the same archives of the plugin and the same manifests. The chart's archive and the SBOMs contain the current time.
set -euo pipefail
export TZ=UTC
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${1:?the version is missing} image=${2:?the image is missing}
ldflags="-s -w ${LDFLAGS:?}"
sbom=(go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std -noserial -version "$version")

[[ $image == *@sha256:* ]] || { echo "$image is not REPOSITORY@DIGEST" >&2 && exit 1; }
grep -qx "VERSION ?= $version" Makefile || { echo "the Makefile has another VERSION than $version" >&2 && exit 1; }
helm=$(hack/tool.sh helm helm.sh/helm/v4/cmd/helm)
date=$(git log -1 --format=%cd --date=format-local:'%Y-%m-%dT%H:%M:%SZ')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf dist
mkdir -p dist "$work/canaryrollout"

go run ./hack/release notes "$version" >dist/notes.md

for platform in ${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}; do
	os=${platform%/*} arch=${platform#*/} program=kubectl-canary
	[[ $os != windows ]] || program+=.exe
	echo "building kubectl-canary for $platform" >&2
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags="$ldflags" -o "$work/$program" ./cmd/kubectl-canary
	tar --create --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" --mode=u=rwX,go=rX \
		--directory="$work" "$program" --directory="$PWD" LICENSE | gzip -n >"dist/kubectl-canary_${os}_$arch.tar.gz"
	[[ $platform != linux/amd64 ]] || "${sbom[@]}" -output dist/kubectl-canary.cdx.json "$work/$program"
done
"${sbom[@]}" -output dist/manager.cdx.json bin/linux-amd64/manager

hack/install/manifests.sh "$image" >dist/install.yaml

cp -R config/chart/. "$work/canaryrollout"
go run ./hack/release values "$image" >"$work/canaryrollout/values.yaml"
"$helm" package --version "${version#v}" --app-version "$version" --destination dist "$work/canaryrollout" >&2

go run ./hack/release krew "$version" dist >dist/canary.yaml
(cd dist && sha256sum -- *.tar.gz *.tgz *.yaml *.json >checksums.txt)
