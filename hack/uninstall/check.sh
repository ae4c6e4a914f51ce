#!/usr/bin/env bash
# Copyright The CanaryRollout Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails while the cluster has CanaryRollouts. To remove the CRD removes them, and without a manager each one keeps its
# finalizer: its namespace cannot be deleted, and its route stays in the middle of a release.
set -euo pipefail

crd=canaryrollouts.canaryrollout.dev
installed=$(kubectl get customresourcedefinition "$crd" --ignore-not-found --output=name)
if [[ -z $installed ]]; then
	exit 0
fi
rollouts=$(kubectl get "$crd" --all-namespaces --no-headers --output=custom-columns=:metadata.namespace,:metadata.name)
if [[ -z $rollouts ]]; then
	exit 0
fi
cat >&2 <<TEXT
Refused: these CanaryRollouts would be left without a manager that hands their traffic back.

$rollouts

Delete them first, while the manager runs. This ends their pods:

  kubectl delete canaryrollouts --all --all-namespaces --wait

With --cascade=orphan the stable pods stay and serve.
TEXT
exit 1
