-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Lets steps and promotions go on.
obj.spec.paused = false
return obj
