-- Ends grants: what becomes of the job, what was used of the charge, and what the call showed about the deployment. The
-- first settlement of a grant counts; a repetition gets the same answer.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4..]   nine for each grant:
--   job id
--   grant token
--   job            'ended', or the delay before it is ready again, in ms
--   charge         'keep' | 'void' | 'used'
--   input, output  tokens used, with cache writes, or ''
--   signal         kind of the signal
--   detail         throttle or reason, or ''
--   retryAfterMs   or ''
-- Result      { header, ['settled' | 'lost' | 'rejected', ...], changes of deployments [[id, state, reason]...] }
--- @include "shared/fleet"
--- @include "shared/waiting_jobs"
--- @include "shared/leases"
if not state.load() then return redis.error_reply('NOSTATE') end
fleet.open()
leases.expire()

-- Returns the judgement of the refused job, or nil if the signal says nothing about it.
local function judge(lease, kind, detail, retryAfterMs)
  if kind ~= 'throttled' then return suspects.judge(lease, kind, detail, retryAfterMs) end
  if deployments.explains(deploymentOf[lease.deployment], detail) then kind = 'quota' end
  return suspects.judge(lease, kind, 'The provider throttled the job.', retryAfterMs)
end

local function settle(at)
  local id, grant, job = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local live = leases.live(grant)
  if live and live.id ~= id then live = nil end
  local answer = not live and leases.settledAnswer(grant) or nil
  local lease = live or (not answer and leases.lost(grant) or nil)
  local judgement
  if lease and not lease.settled then
    leases.account(lease, ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]))
    local retryAfterMs = tonumber(ARGV[at + 8])
    judgement = live and job ~= 'ended' and judge(lease, ARGV[at + 6], ARGV[at + 7], retryAfterMs) or nil
    -- Ignores a Retry-After that concerns only this job: see signals.ts.
    if judgement and ARGV[at + 7] ~= 'tokens_per_day' then
      local suspect = judgement.suspect
      if suspect.strikes > 0 or (suspect.kind == 'quota' and suspect.times > 1) then retryAfterMs = nil end
    end
    lease.isOldNews = lease.wasLate or (judgement and not judgement.isNews)
    if not judgement or judgement.blamed then
      leases.signal(lease, ARGV[at + 6], ARGV[at + 7], retryAfterMs)
    end
    lease.settled = judgement and judgement.rejected and 'rejected' or live and 'settled' or 'lost'
    if not live then leases.saveLost(lease) end
  end
  local hasEnded = job == 'ended' or (judgement and judgement.rejected)
  if live then
    leases.release(live)
    if hasEnded then
      -- A lease with a route holds enough of its job, so the job is not read.
      waiting_jobs.drop(live.route and live or entries.get(id))
    else
      local waitMs = 0
      if judgement then
        local deployment = deploymentOf[live.deployment]
        local closedForMs = 0
        for _, quota in ipairs(deployment.quotas) do
          closedForMs = math.max(closedForMs, quota.state.closedUntil - now)
        end
        waitMs = suspects.waitMs(judgement.suspect, deployments.inService(deployment), closedForMs)
      end
      waiting_jobs.enter(entries.get(id), math.max(tonumber(job), waitMs))
    end
  elseif hasEnded then
    local entry = entries.get(id)
    if entry then leases.drop(entry) end
  end
  return answer or (lease and lease.settled) or 'lost'
end

local grants = {}
for at = 5, #ARGV, 9 do table.insert(grants, ARGV[at]) end
leases.readAll(grants)
local answers = {}
for at = 4, #ARGV, 9 do table.insert(answers, settle(at)) end
state.wake(true)
return state.done(answers, deployments.takeChanges())
