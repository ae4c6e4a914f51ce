-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Skips the remaining steps. Pods, endpoints and weights are waited for as always.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["canaryrollout.dev/promote"] = "full"
return obj
