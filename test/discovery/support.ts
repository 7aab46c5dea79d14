// A simulated account that every SDK client finds by the addresses in the environment.
import { onTestFinished, vi } from "vitest";
import type { SimulatedAccount } from "../../src/simulator/simulated-account.ts";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";

export const llama = "us.meta.llama3-3-70b-instruct-v1:0";

export const account: SimulatedAccount = {
  listedQuotas: {
    "Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct": { default: 800, applied: 80 },
    "On-demand model inference tokens per minute for Amazon Nova Pro": { default: 1_000_000 },
    "On-demand model inference requests per minute for Amazon Nova Pro": { default: 250, applied: 25 },
    "On-demand model inference tokens per minute for Brand New": { default: 5 },
  },
  lifecycles: {
    "meta.llama3-3-70b-instruct-v1:0": {
      status: "LEGACY",
      legacyTime: "2026-09-30T00:00:00Z",
      endOfLifeTime: "2027-03-30T00:00:00Z",
    },
  },
  pageSize: 20,
};

export async function startAccount(simulated: SimulatedAccount = account): Promise<Simulator> {
  const simulator = await startSimulator({ account: simulated });
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await simulator.stop();
  });
  for (const [name, value] of Object.entries(environmentOf(simulator))) vi.stubEnv(name, value);
  return simulator;
}

export function environmentOf({ url }: Simulator) {
  return {
    AWS_ACCESS_KEY_ID: "local",
    AWS_SECRET_ACCESS_KEY: "local",
    AWS_ENDPOINT_URL_BEDROCK: url,
    AWS_ENDPOINT_URL_SERVICE_QUOTAS: url,
    AWS_ENDPOINT_URL_BEDROCK_RUNTIME: url,
  };
}
