-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- What Argo CD makes of a CanaryRollout. Argo CD gives a script of its ConfigMap no library but the basic one.
local health = {
  Healthy = "Healthy",
  Paused = "Suspended",
  Aborted = "Degraded",
  Degraded = "Degraded",
}

local status = obj.status or {}
if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = status.message or "the rollout is being deleted"}
end
-- What the status says is about the spec before the last change: neither its health nor its failure is this one's.
if status.state == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "waiting for the operator to look at the newest spec"}
end

local message = status.message or ""
if status.state ~= "Healthy" and status.step ~= nil then
  message = status.state .. " at step " .. status.step .. ": " .. message
end
return {status = health[status.state] or "Progressing", message = message}
