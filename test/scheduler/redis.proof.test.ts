// The scheduler in Redis does what every adapter must do.
import { describe } from "vitest";
import { withoutRedis } from "../support/servers.ts";
import { schedulerConformance } from "./conformance.ts";
import { openOnRedis } from "./open-on-redis.ts";

describe.skipIf(withoutRedis())("on a real server", () => {
  schedulerConformance("the scheduler in Redis", openOnRedis);
});
