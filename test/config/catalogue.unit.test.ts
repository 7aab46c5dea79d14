// The catalogue of models: how a row is found, how the configuration overrides it, and which notices it causes at
// start.
import { describe, expect, test } from "vitest";
import { factsOf } from "../../src/config/catalogue.ts";
import { familyRows, modelRows } from "../../src/config/catalogue-rows.ts";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { lifecycleOf, noticesOf } from "../../src/config/lifecycle.ts";
import { resolve } from "../../src/config/resolve.ts";
import { load, mistakesIn } from "./support.ts";

const traitsOf = (modelId: string, overrides = {}) => factsOf(modelId, overrides).traits;

test("a model's own row wins over the family's, with any prefix or suffix of the ID", () => {
  expect(factsOf("us.anthropic.claude-opus-4-8").outputBurndown).toBe(15);
  expect(factsOf("anthropic.claude-opus-9").outputBurndown).toBe(10);
  expect(traitsOf("amazon.nova-lite-v1:0:300k")).toEqual(traitsOf("eu.amazon.nova-lite-v1:0"));
});

test("a model without a row has no known price", () => {
  for (const id of [
    "anthropic.claude-opus-5-7",
    "qwen.qwen9",
    "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
  ])
    expect(traitsOf(id).prices).toBeUndefined();
  for (const row of Object.values(familyRows)) expect(row.prices).toBeUndefined();
});

test("nothing is claimed about an unknown model, except what Converse supports for none", () => {
  expect(traitsOf("some.model")).toEqual({ jsonObject: false, refuses: [], fields: {} });
});

test("a geographic profile costs more than the global one if the catalogue says so", () => {
  const global = traitsOf("global.anthropic.claude-haiku-4-5-20251001-v1:0").prices;
  expect(global).toMatchObject({ input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25 });
  expect(traitsOf("us.anthropic.claude-haiku-4-5-20251001-v1:0").prices).toMatchObject({
    input: 1.1,
    output: 5.5,
    cacheRead: 0.11,
    cacheWrite: 1.375,
  });
  expect(traitsOf("us.amazon.nova-pro-v1:0").prices).toMatchObject({
    input: 0.8,
    tiers: { priority: 1.75, flex: 0.5 },
  });
});

test("the unconfirmed keys of a row are keys of that row", () => {
  for (const [id, row] of Object.entries({ ...modelRows, ...familyRows })) {
    for (const key of row.unconfirmed ?? []) expect([id, key, row[key] !== undefined]).toEqual([id, key, true]);
  }
});

describe("the configuration's own rows", () => {
  const yamlWith = (catalogue: string, modelId = "us.amazon.nova-pro-v1:0") =>
    `{ models: { a: { deployments: [{ region: us-east-1, modelId: "${modelId}" }] } }, catalogue: { ${catalogue} } }`;
  const modelWith = async (catalogue: string, modelId?: string) =>
    (await load({ yaml: yamlWith(catalogue, modelId) })).models.a!;

  test("override the catalogue key by key, and a profile's row overrides its model's", async () => {
    const model = await modelWith(
      '"amazon.nova-pro-v1:0": { contextTokens: 9000, prices: { output: 3 }, tools: false }, "us.amazon.nova-pro-v1:0": { maxOutputTokens: 700, tools: true }',
    );
    expect(model).toMatchObject({ contextTokens: 9000, maxOutputTokensLimit: 700, tokenFactor: 1.2 });
    expect(model.deployments[0]!.traits).toMatchObject({
      tools: true,
      promptCache: "5m",
      prices: { input: 0.8, output: 3, cacheRead: 0.2, tiers: { priority: 1.75, flex: 0.5 } },
    });
  });

  test("describe an application inference profile", async () => {
    const arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    const model = await modelWith(
      `"${arn}": { contextTokens: 200000, maxOutputTokens: 64000, streaming: false, outputBurndown: 5, prices: { input: 1, output: 2, flexFactor: 0.4 } }`,
      arn,
    );
    expect(model).toMatchObject({ contextTokens: 200_000, maxOutputTokensLimit: 64_000 });
    expect(model.deployments[0]).toMatchObject({
      streaming: false,
      outputBurndown: 5,
      traits: { prices: { input: 1, output: 2, tiers: { priority: 1.75, flex: 0.4 } } },
    });
  });

  test("give way to what a model or deployment sets itself", async () => {
    const yaml = `{ models: { a: { contextTokens: 5000, deployments: [{ region: us-east-1, modelId: amazon.nova-pro-v1:0, streaming: true }] } },
      catalogue: { "amazon.nova-pro-v1:0": { contextTokens: 9000, streaming: false } } }`;
    expect((await load({ yaml })).models.a).toMatchObject({ contextTokens: 5000, deployments: [{ streaming: true }] });
  });

  test.each([
    ['"x.y": { contextToken: 1 }', /contextToken is not a known field; did you mean contextTokens\?/],
    ['"x.y": { refuses: [max_tokens] }', /refuses\[0\] must be one of temperature, top_p, .*; got "max_tokens"/],
    ['"x.y": { prices: { input: -1 } }', /prices\.input must be a number between 0 and 1000000; got -1/],
    ['"x.y": { endOfLife: soon }', /endOfLife must be a day such as 2027-03-30; got "soon"/],
    [
      '"x.y": { fields: { top_k: "a b" } }',
      /fields\.top_k must be a path of names such as inferenceConfig.topK; got "a b"/,
    ],
    ['"x y": {}', /is not a valid name; use .*model IDs, profile IDs or ARNs/],
  ])("%s is a mistake", async (catalogue, message) => {
    expect(await mistakesIn({ yaml: yamlWith(catalogue) })).toMatch(message);
  });
});

describe("lifecycle", () => {
  const at = (day: string) => Date.parse(`${day}T12:00:00Z`);
  const { traits } = { traits: traitsOf("us.meta.llama3-3-70b-instruct-v1:0") };

  test("Llama 3.3 is Legacy up to its last day, then retired", () => {
    expect(lifecycleOf({ traits }, at("2026-11-27"))).toEqual({ status: "legacy", endOfLife: "2027-03-30" });
    expect(lifecycleOf({ traits }, at("2027-03-29")).status).toBe("legacy");
    expect(lifecycleOf({ traits }, at("2027-03-30")).status).toBe("end_of_life");
  });

  test("a model becomes Legacy on the announced day", () => {
    const known = { traits: { ...traits, legacySince: "2027-01-01" } };
    expect(lifecycleOf(known, at("2026-12-31")).status).toBe("active");
    expect(lifecycleOf(known, at("2027-01-01")).status).toBe("legacy");
    expect(lifecycleOf({ traits: traitsOf("amazon.nova-lite-v1:0") }, at("2030-01-01"))).toEqual({ status: "active" });
  });

  const noticesAbout = (
    deployment: { region?: string; modelId: string; endpoint?: string },
    more = {},
    now = at("2026-11-27"),
  ) => {
    const models: FileSettings["models"] = { a: { deployments: [{ region: "us-east-1", ...deployment }], ...more } };
    const { settings } = resolve({ models });
    return noticesOf(settings, now).map(({ message }) => message);
  };
  const llama = { modelId: "us.meta.llama3-3-70b-instruct-v1:0" };

  test("is announced, with the alternative if there is one", () => {
    expect(noticesAbout(llama, { alternative: "b" })).toEqual([
      "us.meta.llama3-3-70b-instruct-v1:0 is Legacy, end of life on 2027-03-30; accounts that have not used it recently cannot call it. Its configured alternative is b.",
    ]);
    expect(noticesAbout(llama, {}, at("2028-01-01"))).toEqual([
      "us.meta.llama3-3-70b-instruct-v1:0 reached its end of life on 2027-03-30; calls will be refused. No alternative is configured.",
    ]);
    expect(noticesAbout({ modelId: "us.amazon.nova-lite-v1:0" })).toEqual([]);
  });

  test.each([
    [{ modelId: "anthropic.claude-haiku-4-5-20251001-v1:0" }, /only through an inference profile: us\./],
    [{ modelId: "eu.amazon.nova-lite-v1:0" }, /cannot be called from us-east-1/],
    [
      { modelId: "jp.amazon.nova-lite-v1:0", region: "ap-northeast-1" },
      /is not a known profile; known profiles: us\.amazon/,
    ],
    [{ modelId: "qwen.qwen3-32b-v1:0" }, undefined],
    [{ modelId: "xai.grok-4.3" }, /only by the endpoint bedrock-mantle/],
    [{ modelId: "eu.amazon.nova-lite-v1:0", endpoint: "http://127.0.0.1:9" }, undefined],
    [{ modelId: "application-inference-profile/x" }, undefined],
  ])("a deployment that Bedrock may refuse altogether is announced too: %j", (deployment, message) => {
    const notices = noticesAbout(deployment);
    if (message) expect(notices).toEqual([expect.stringMatching(message)]);
    else expect(notices).toEqual([]);
  });

  test("a Region in which the model is not known", () => {
    expect(noticesAbout({ ...llama, region: "us-west-1" }).at(-1)).toMatch(
      /is known only in us-east-1, us-east-2, us-west-2, not in us-west-1/,
    );
  });
});
