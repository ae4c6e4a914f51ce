-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Holds steps and promotions. Repair, abort and scaling go on.
obj.spec.paused = true
return obj
