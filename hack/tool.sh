#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Prints the path of a development tool, and builds it first when it is not there yet:
#
#   hack/tool.sh MODULE PACKAGE     MODULE is a folder below hack/tools, PACKAGE is built in it
#
# Binaries are kept in the user's cache folder, in a folder of their own for each state of the module, so that every
# clone shares them and an update of a tool builds it anew.
set -euo pipefail
shopt -s nullglob

module=$1 package=$2
cd "$(dirname "${BASH_SOURCE[0]}")/tools/$module"

name=$(basename "$package")
[[ $name != . ]] || name=$module
# As in the Makefile, so that a package that promtool shares with the Prometheus of the test cluster is compiled once. The tag
# leaves out the service discoveries of both.
flags=(-trimpath -buildvcs=false -mod=readonly -gcflags=all=-dwarf=false -tags=remove_all_sd)
key=$({ go env GOVERSION && cat -- *.go go.mod go.sum; } | sha256sum | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/canaryrollout/tools/$module-$key
binary=$folder/$name

if [[ ! -x $binary ]]; then
	echo "building $name (once; kept in $folder)" >&2
	mkdir -p "$folder"
	unfinished=$(mktemp "$folder/.$name.XXXXXX")
	trap 'rm -f "$unfinished"' EXIT
	CGO_ENABLED=0 go build "${flags[@]}" -o "$unfinished" "$package" >&2
	chmod 755 "$unfinished"
	mv "$unfinished" "$binary"
fi
echo "$binary"
