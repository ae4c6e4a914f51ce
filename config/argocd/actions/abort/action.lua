-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Brings all traffic back to the stable revision. The reason stands in the status and in the history.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["canaryrollout.dev/abort"] = "from Argo CD"
return obj
