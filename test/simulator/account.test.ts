// What the simulator answers other than model calls, read through the real SDKs: listed quotas, lifecycles, profiles.
import { BedrockClient, GetFoundationModelCommand, paginateListInferenceProfiles } from "@aws-sdk/client-bedrock";
import { paginateListServiceQuotas, ServiceQuotasClient } from "@aws-sdk/client-service-quotas";
import { expect, onTestFinished, test } from "vitest";
import type { SimulatorOptions } from "../../src/simulator/options.ts";
import { startSimulator } from "../../src/simulator/simulator.ts";

async function clients(options: SimulatorOptions) {
  const simulator = await startSimulator(options);
  onTestFinished(() => simulator.stop());
  const config = {
    region: "us-west-2",
    endpoint: simulator.url,
    credentials: { accessKeyId: "any", secretAccessKey: "any" },
  };
  return { quotas: new ServiceQuotasClient(config), bedrock: new BedrockClient(config) };
}

test("lists quotas in pages, and those applied to the account separately", async () => {
  const { quotas } = await clients({ requestsPerMinute: 7, account: { pageSize: 10 } });
  const values = new Map<string, number>();
  let pages = 0;
  for await (const page of paginateListServiceQuotas({ client: quotas }, { ServiceCode: "bedrock" })) {
    pages++;
    for (const { QuotaName, Value } of page.Quotas!) values.set(QuotaName!, Value!);
  }
  expect(pages).toBeGreaterThan(2);
  expect(values.get("Cross-region model inference requests per minute for Meta Llama 3.3 70B Instruct")).toBe(7);
  expect([...values.keys()].filter((name) => /tokens/i.test(name))).toEqual([]);
});

test("a model has a lifecycle and profiles; an unknown one is not found", async () => {
  const modelIdentifier = "meta.llama3-3-70b-instruct-v1:0";
  const lifecycles = { [modelIdentifier]: { status: "LEGACY" as const, endOfLifeTime: "2027-03-30T00:00:00Z" } };
  const { bedrock } = await clients({ account: { lifecycles, pageSize: 5 } });
  const { modelDetails } = await bedrock.send(new GetFoundationModelCommand({ modelIdentifier }));
  expect(modelDetails!.modelLifecycle).toEqual({ status: "LEGACY", endOfLifeTime: new Date("2027-03-30") });
  await expect(bedrock.send(new GetFoundationModelCommand({ modelIdentifier: "no.such-model" }))).rejects.toMatchObject(
    {
      name: "ResourceNotFoundException",
    },
  );
  const ids: string[] = [];
  for await (const page of paginateListInferenceProfiles({ client: bedrock }, {})) {
    ids.push(...page.inferenceProfileSummaries!.map((profile) => profile.inferenceProfileId!));
  }
  expect(ids).toContain(`us.${modelIdentifier}`);
  expect(new Set(ids).size).toBe(ids.length);
});
