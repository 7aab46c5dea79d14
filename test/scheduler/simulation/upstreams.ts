// The ways in which a provider may count, none of which is documented.
import { createQuotaEngine, type QuotaEngine, type QuotaRules } from "../../../src/simulator/quota-engine.ts";
import { minuteMs } from "../harness.ts";
import type { Unit } from "./simulation.ts";

export type Algorithm = Pick<QuotaRules, "algorithm" | "bucketCapacity">;

export const algorithms = {
  "fixed window": { algorithm: "fixed", bucketCapacity: 1 },
  "sliding log": { algorithm: "sliding", bucketCapacity: 1 },
  "bucket of N": { algorithm: "bucket", bucketCapacity: 1 },
  "bucket of N/6": { algorithm: "bucket", bucketCapacity: 1 / 6 },
} as const satisfies Record<string, Algorithm>;

export function upstream(algorithm: Algorithm, limit: number, unit: Unit = "tokens"): QuotaEngine {
  return createQuotaEngine({
    ...algorithm,
    windowMs: minuteMs,
    outputBurndown: 1,
    ...(unit === "requests" ? { requestsPerWindow: limit } : { tokensPerWindow: limit }),
  });
}
