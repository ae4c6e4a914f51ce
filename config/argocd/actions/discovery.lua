-- Copyright The CanaryRollout Authors.
-- SPDX-License-Identifier: Apache-2.0

-- Which actions Argo CD offers: those that the operator would carry out. A test compares the two. It looks into the
-- memory in the status as the operator does itself, and so belongs to the operator's version.
local status = obj.status or {}
local memory = status.memory or {}
local target = (memory.template or {}).revision
local paused = obj.spec.paused == true
local stepping = memory.phase == "Stepping"
local rollingBack = memory.phase == "RollingBack"

local current = status.observedGeneration == obj.metadata.generation
local terminating = obj.metadata.deletionTimestamp ~= nil
local aborted = memory.abortedRevision ~= nil and memory.abortedRevision == target

-- The stable revision cannot serve, and the message offers to finish the revision in flight.
local stuck = false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" and condition.reason == "StableUnavailable" then
    stuck = true
  end
end

local at_pause = status.pause ~= nil and status.pause.reason == "PauseStep"
local in_flight = memory.stableRevision ~= nil and target ~= nil and not aborted
if target == memory.stableRevision and memory.phase ~= "Stepping" and memory.phase ~= "Promoting" then
  in_flight = false
end

local function offer(enabled, name, icon)
  return {disabled = terminating or not enabled, displayName = name, iconClass = "fa fa-fw fa-" .. icon}
end

return {
  ["promote"] = offer(current and at_pause and not paused, "Promote", "play-circle"),
  ["promote-full"] = offer(current and not paused and (stepping or rollingBack and stuck), "Promote to the end", "fast-forward"),
  ["abort"] = offer(in_flight, "Abort", "undo"),
  ["retry"] = offer(aborted, "Retry", "redo"),
  ["pause"] = offer(not paused and (stepping or memory.phase == "Promoting"), "Pause", "pause-circle"),
  ["resume"] = offer(paused, "Resume", "play"),
}
