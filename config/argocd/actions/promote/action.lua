-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Leaves the pause that the user saw, and no later one: the value names the revision and the number of its step.
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["canaryrollout.dev/promote"] = obj.status.revision .. "/" .. tostring(obj.status.memory.stepIndex + 1)
return obj
