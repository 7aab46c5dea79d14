-- Adds jobs to the queue. Leaves a known job as it is.
--
-- KEYS[1]     control state, see state.lua
-- ARGV[1..3]  common arguments, see state.lua
-- ARGV[4]     lists: JSON of { owners: [[environment, priority, tenant]...], routes: [name...] }
-- ARGV[5..]   eight for each job: id, order (8 bytes), owner and route (indexes in those lists, from 1), input tokens,
--             output tokens, '1' if they were counted exactly, delay in ms
-- Result      { header, places of the jobs that were known, counted from 0 }
--- @include "shared/add_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
local known = addJobs(cjson.decode(ARGV[4]), 5, #ARGV)
state.wake()
return state.done(known)
