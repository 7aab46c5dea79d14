// Configured, listed and learned limits, lifecycles and profiles, read through the real SDKs from the simulator.
import { expect, test } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { compareQuotas } from "../../src/discovery/comparison.ts";
import { testSettings } from "../support/jobs-context.ts";
import { account, llama, startAccount } from "./support.ts";

const models: FileSettings["models"] = {
  llama: {
    deployments: [
      {
        region: "us-east-1",
        modelId: llama,
        quotas: [
          { unit: "requests", per: "minute", limit: 3 },
          { unit: "tokens", per: "minute", limit: "auto" },
        ],
      },
    ],
  },
  nova: { deployments: [{ region: "us-west-2", modelId: "amazon.nova-pro-v1:0" }] },
  strange: { deployments: [{ region: "us-west-2", modelId: "us.brand.new-model-v1:0" }] },
  renamed: {
    deployments: [{ region: "us-west-2", account: "b", modelId: "brand.new-model-v1:0", listedAs: "Brand New" }],
  },
};

function compare(region?: string, learned = new Map<string, number>()) {
  const settings = testSettings({ models, defaultModel: "llama" });
  return compareQuotas(settings, { withinMs: 20_000, learned, ...(region && { region }) });
}

test("compares them, with the lifecycle, and includes what is listed but not configured", async () => {
  await startAccount();
  const id = `bedrock/us-east-1/${llama}`;
  const { deployments, unmatched } = await compare("us-east-1", new Map([[`${id}:requests/minute`, 2]]));
  expect(deployments).toMatchObject([
    {
      deployment: id,
      model: "llama",
      lifecycle: { status: "LEGACY", legacySince: "2026-09-30", endOfLife: "2027-03-30" },
      profileExists: true,
      quotas: [
        { unit: "requests", per: "minute", configured: 3, listed: 80, default: 800, learned: 2 },
        { unit: "tokens", per: "minute", configured: "auto", listed: 600_000 },
        { unit: "tokens", per: "day", listed: 700_000_000, code: "L-E3F10727" },
      ],
      notes: [],
    },
  ]);
  expect(deployments[0]!.quotas[2]).not.toHaveProperty("configured");
  expect(unmatched.map((row) => row.name)).toContain("On-demand model inference tokens per minute for Brand New");
  expect(unmatched.filter((row) => /Llama 3\.3/.test(row.name))).toEqual([]);
});

test("a name that is not found is a note, unless the configuration gives AWS's name of the model", async () => {
  await startAccount();
  const { deployments } = await compare("us-west-2");
  expect(
    deployments.map((d) => [d.model, d.quotas.find((q) => q.unit === "tokens" && q.per === "minute")?.listed]),
  ).toEqual([
    ["nova", 1_000_000],
    ["strange", undefined],
    ["renamed", 5],
  ]);
  expect(deployments[0]!.notes).toEqual([]);
  expect(deployments[1]!.notes).toEqual([
    expect.stringMatching(
      /^AWS lists no cross-region quota for brand\.new-model-v1:0 in us-west-2\. .*set listedAs to that name\.$/,
    ),
    expect.stringMatching(/^bedrock:GetFoundationModel failed: ResourceNotFoundException/),
    "The inference profile us.brand.new-model-v1:0 does not exist in us-west-2.",
  ]);
});

test("without permissions every deployment reports which it lacks", async () => {
  await startAccount({ ...account, denied: true });
  const { deployments } = await compare("us-east-1");
  expect(deployments[0]!.quotas.map((q) => q.listed)).toEqual([undefined, undefined]);
  expect(deployments[0]!.notes).toEqual([
    expect.stringMatching(
      /^servicequotas:ListServiceQuotas was refused \(AccessDeniedException\)\. Grant this permission/,
    ),
    expect.stringMatching(/^bedrock:GetFoundationModel was refused/),
    expect.stringMatching(/^bedrock:ListInferenceProfiles was refused/),
  ]);
});
