// The scheduler in Redis, one case of each group; redis.proof.test.ts runs them all.
import { describe } from "vitest";
import { withoutRedis } from "../support/servers.ts";
import { schedulerOperations } from "./conformance.ts";
import { openOnRedis } from "./open-on-redis.ts";

describe.skipIf(withoutRedis())("on a real server", () => {
  schedulerOperations("the scheduler in Redis, one case of each group", openOnRedis);
});
