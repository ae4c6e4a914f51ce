#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Brings what the chart shares with the kustomizations into config/chart/files: a chart can take in nothing from outside
# its own folder. The templates read these files, so a CRD, a rule of a role or an alert is written in one place only.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

files=config/chart/files

# copy FROM TO: copies a file, and says in the copy that it is one.
copy() {
	{ echo "# Made from $1 by make manifests. Do not edit." && cat -- "$1"; } >"$files/$2"
}

rm -rf "$files/crd" "$files/rbac"
mkdir -p "$files/crd" "$files/rbac"
for crd in config/crd/canaryrollout.dev_*.yaml; do
	copy "$crd" "crd/$(basename "$crd")"
done
for role in config/rbac/*role.yaml; do
	copy "$role" "rbac/$(basename "$role")"
done
rm -rf "$files/policies"
mkdir -p "$files/policies"
for policy in commands manager users; do
	copy "config/policies/$policy.yaml" "policies/$policy.yaml"
done
if [[ -f config/alerts/rules.yaml ]]; then
	copy config/alerts/rules.yaml rules.yaml
fi
