#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Prints the manifests of config/default with another image for the manager:
#
#   hack/install/manifests.sh IMAGE     for example my-repository/canaryrollout:v0.1.0, or with @sha256:... instead of the tag
#
# An overlay sets the image, as a user's own kustomization would.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

image=${1:?the image is missing}
case ${image##*/} in # a colon before the last slash belongs to the port of a registry
*@*) name=${image%%@*} version="digest: '${image#*@}'" ;;
*:*) name=${image%:*} version="newTag: '${image##*:}'" ;;
*) echo "hack/install/manifests.sh: $image has neither a tag nor a digest" >&2 && exit 1 ;;
esac

mkdir -p bin # kustomize takes bases only by a relative path
overlay=$(mktemp -d bin/overlay.XXXXXX)
trap 'rm -rf "$overlay"' EXIT
cat >"$overlay/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../config/default]
images:
- name: canaryrollout/canaryrollout
  newName: '$name'
  $version
YAML
kubectl kustomize "$overlay"
