-- Puts jobs into the queue. A job that is known already is left as it is.
-- ARGV[4] JSON of { owners: [[environment, priority, tenant]...], routes: [name...] }
-- ARGV[5..] eight for each job: id, order (8 bytes), owner and route (places in those lists, from 1), input and output
--           tokens, '1' if they were counted exactly, delay in ms
-- Reply: { header }
--- @include "shared/add_jobs"
if not state.load() then return redis.error_reply('NOSTATE') end
deployments.openAll()
addJobs(cjson.decode(ARGV[4]), 5, #ARGV)
state.wake()
return state.done()
