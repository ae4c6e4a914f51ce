-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Starts an aborted revision again at its first step.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["canaryrollout.dev/retry"] = "true"
return obj
