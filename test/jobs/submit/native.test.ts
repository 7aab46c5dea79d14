// Jobs in Bedrock's own format: which model they run on, what they reserve, and that the body stays as it is.
import fc from "fast-check";
import { describe, expect } from "vitest";
import type { FileSettings } from "../../../src/config/config-schema.ts";
import type { SluiceError } from "../../../src/domain/errors.ts";
import type { NativeRequest } from "../../../src/domain/native-request.ts";
import { submit } from "../../../src/jobs/submit/submit.ts";
import type { NativeInput } from "../../../src/jobs/submit/submit-input.ts";
import { test } from "../../support/fixtures.ts";
import type { TestContext } from "../../support/jobs-context.ts";
import { nativeBody } from "../../support/native-bodies.ts";

const haiku = "anthropic.claude-haiku-4-5-20251001-v1:0";
const sonnet = "anthropic.claude-sonnet-4-6";
const application = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";

const models: FileSettings["models"] = {
  haiku: {
    fallbackModels: ["mixed"],
    deployments: [
      { region: "us-east-1", modelId: `us.${haiku}` },
      { region: "eu-west-1", modelId: `eu.${haiku}` },
      { provider: "openai", region: "us-east-1", modelId: haiku, baseUrl: "http://127.0.0.1:1/v1" },
    ],
  },
  mixed: {
    deployments: [
      { region: "us-east-1", modelId: `us.${sonnet}` },
      { region: "eu-west-1", modelId: "amazon.nova-lite-v1:0" },
      { region: "us-east-1", modelId: application, baseModel: "meta.llama3-3-70b-instruct-v1:0" },
    ],
  },
  local: { deployments: [{ provider: "openai", modelId: "qwen", baseUrl: "http://127.0.0.1:1/v1" }] },
};

let context: TestContext;
test.beforeEach(async ({ openContext }) => {
  context = await openContext({ models, defaultModel: "haiku" });
});

const claudeBody = `{"anthropic_version":"bedrock-2023-05-31","max_tokens":1.0e2,"messages":[{"role":"user","content":"Hello"}]}`;

function asking(more: Partial<NativeInput> = {}, native: Partial<NativeInput["native"]> = {}): NativeInput {
  return {
    environment: "UAT",
    native: { operation: "invoke", streamed: false, body: claudeBody, ...native },
    ...more,
  };
}

async function submitted(input: NativeInput) {
  const [job] = await submit(context, [input]);
  return { ...job!, request: job!.request as NativeRequest };
}

function refusalOf(input: NativeInput): Promise<SluiceError> {
  return submit(context, [input]).then(
    () => expect.unreachable("the job should have been refused"),
    (error) => error,
  );
}

describe("the model", () => {
  test.for([
    [undefined, "haiku", haiku],
    ["haiku", "haiku", haiku],
    [haiku, "haiku", haiku],
    [`us.${haiku}`, "haiku", haiku],
    [`global.${haiku}`, "haiku", haiku],
    [`arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.${haiku}`, "haiku", haiku],
    [`arn:aws:bedrock:us-east-1::foundation-model/${sonnet}`, "mixed", sonnet],
    ["amazon.nova-lite-v1:0", "mixed", "amazon.nova-lite-v1:0"],
    [application, "mixed", "meta.llama3-3-70b-instruct-v1:0"],
    ["us.meta.llama3-3-70b-instruct-v1:0", "mixed", "meta.llama3-3-70b-instruct-v1:0"],
  ] as const)("%s is %s", async ([model, alias, baseModel]) => {
    const job = await submitted(asking(model === undefined ? {} : { model }));
    expect(job).toMatchObject({ model: alias, baseModel, fallbackModels: [] });
    expect(await context.scheduler.explain(job.id)).toMatchObject({ state: "waiting" });
  });

  test.for([
    [
      "mixed",
      "invalid_request",
      /^model must name one model for a native request; mixed stands for .* Use one of these/,
    ],
    ["local", "invalid_request", /^model must be served by Bedrock for a native request; local is served by other/],
    [`eu.${sonnet}`, "unknown_model", /^No deployment is in the geography eu of .*; .* has deployments in us-east-1\./],
    [`arn:aws:bedrock:eu-west-1::foundation-model/${sonnet}`, "unknown_model", /^No deployment is in the Region of /],
    [
      `arn:aws:bedrock:eu-west-1:123456789012:inference-profile/us.${haiku}`,
      "unknown_model",
      /^No deployment is in the Region of /,
    ],
    ["arn:aws:bedrock:us-east-1:123456789012:imported-model/x", "invalid_request", /imported-model is not supported/],
    ["arn:aws:s3:::x", "invalid_request", /it is not an ARN of Bedrock/],
    ["a b", "invalid_request", /^The provided model identifier is invalid: "a b"\.$/],
    ["qwen", "unknown_model", /^model must be one of haiku, anthropic\.claude-haiku-4-5.*; got "qwen"\.$/],
    ["constructor", "unknown_model", /; got "constructor"\.$/],
    ["", "invalid_request", /^The provided model identifier is invalid/],
  ] as const)("%s is refused", async ([model, code, message]) => {
    const error = await refusalOf(asking({ model }));
    expect(error).toMatchObject({ code, details: { field: "model" } });
    expect(error.message).toMatch(message);
  });

  test.for([
    [`us.${haiku}`, undefined, ["us-east-1"]],
    [`eu.${haiku}`, undefined, ["eu-west-1"]],
    [haiku, undefined, undefined],
    [`global.${haiku}`, undefined, undefined],
    [`arn:aws:bedrock:eu-west-1::foundation-model/${haiku}`, undefined, ["eu-west-1"]],
    [`us.${haiku}`, ["eu-west-1", "us-east-1"], ["us-east-1"]],
  ] as const)("%s in the regions %j runs in %j", async ([model, regions, expected]) => {
    const job = await submitted(asking({ model, ...(regions && { regions: [...regions] }) }));
    expect(job.regions).toEqual(expected);
  });

  test("its regions are those of its own deployments", async () => {
    expect(await submitted(asking({ regions: ["eu-west-1"] }))).toMatchObject({ regions: ["eu-west-1"] });
    const error = await refusalOf(asking({ model: sonnet, regions: ["eu-west-1"] }));
    expect(error.message).toBe("regions: no deployment of mixed serves eu-west-1; available: us-east-1.");
    const other = await refusalOf(asking({ model: `us.${haiku}`, regions: ["eu-west-1"] }));
    expect(other.message).toBe(`regions must have one of us-east-1, because the model is us.${haiku}; got eu-west-1.`);
  });
});

describe("the body", () => {
  test("is stored as the text that it is, whatever it contains", async () => {
    await fc.assert(
      fc.asyncProperty(
        nativeBody,
        fc.constantFrom("converse", "invoke"),
        fc.boolean(),
        async (body, operation, streamed) => {
          const { id } = await submitted(asking({}, { operation, streamed, body }));
          const { job } = (await context.store.get(id))!;
          expect((job.request as NativeRequest).native).toEqual({ operation, streamed, body });
        },
      ),
      { numRuns: 60 },
    );
  });

  test("decides what is reserved", async () => {
    const { request, tokens } = await submitted(asking());
    expect(request.parameters).toEqual({ maxTokens: 100 });
    expect(tokens.output).toBe(100);
    expect(tokens.input).toBeGreaterThan(8);
    expect(tokens.input).toBeLessThan(30);
    const long = claudeBody.replace("Hello", "word ".repeat(10_000));
    expect((await submitted(asking({}, { body: long }))).tokens.input).toBeGreaterThan(10_000);
  });

  test("without a limit reserves the model's maximum, and is not refused for its context", async () => {
    const body = '{"messages":[]}';
    expect((await submitted(asking({}, { body }))).tokens.output).toBe(64_000);
    const long = JSON.stringify({ messages: [{ role: "user", content: "word ".repeat(190_000) }] });
    expect((await submitted(asking({}, { body: long }))).tokens.output).toBe(64_000);
  });

  test("that no quota can admit is refused", async ({ openContext }) => {
    const quotas = [{ unit: "tokens" as const, per: "minute" as const, limit: 11_000 }];
    context = await openContext({
      models: { haiku: { deployments: [{ region: "us-east-1", modelId: haiku, quotas }] } },
      defaultModel: "haiku",
    });
    expect(await submitted(asking())).toBeDefined();
    expect(await refusalOf(asking({}, { body: "{}" }))).toMatchObject({ code: "exceeds_quota" });
  });

  test.for([
    ["", "invalid_json", /^The body is not valid JSON/],
    ["{", "invalid_json", /^The body is not valid JSON/],
    ["[]", "invalid_request", /^body must be a JSON object\.$/],
    ["null", "invalid_request", /^body must be a JSON object\.$/],
    [`{"a":${"[".repeat(100)}${"]".repeat(100)}}`, "invalid_request", /nested deeper than/],
    [`{"a":[${"{},".repeat(350_000)}{}]}`, "invalid_request", /at most 350000 values/],
  ] as const)("%.12s is refused", async ([body, code, message]) => {
    const error = await refusalOf(asking({}, { body }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

test("texts of a million tokens are accepted, although a prompt may have one megabyte", async () => {
  const body = JSON.stringify({ max_tokens: 10, text: "words ".repeat(700_000) });
  expect((await submitted(asking({}, { body }))).request).toMatchObject({ parameters: { maxTokens: 10 } });
});

describe("headers", () => {
  test("of the allow list are sent, others are not, and the tier counts", async () => {
    const { request } = await submitted(
      asking(
        {},
        {
          headers: {
            authorization: "Bearer secret",
            "x-amz-security-token": "secret",
            "X-Amzn-Bedrock-Trace": "ENABLED",
            "x-amzn-bedrock-service-tier": "flex",
            "x-amzn-bedrock-guardrailidentifier": undefined,
          },
        },
      ),
    );
    expect(request.native.headers).toEqual({
      "x-amzn-bedrock-trace": "ENABLED",
      "x-amzn-bedrock-service-tier": "flex",
    });
    expect(request.serviceTier).toBe("flex");
    expect(request.native.body).toBe(claudeBody);
  });

  test("the tier of Converse is in the body; a tier without a known price is sent and not counted", async () => {
    const tierOf = async (type: string) =>
      (await submitted(asking({}, { operation: "converse", body: JSON.stringify({ serviceTier: { type } }) }))).request
        .serviceTier;
    expect(await tierOf("priority")).toBe("priority");
    expect(await tierOf("reserved")).toBeUndefined();
  });

  test("anthropic-beta becomes a field of the body, and the rest of the body stays as it is", async () => {
    const headers = { "anthropic-beta": "context-1m-2025-08-07, b" };
    const beta = '"anthropic_beta":["context-1m-2025-08-07","b"]';
    const invoked = await submitted(asking({}, { headers }));
    expect(invoked.request.native).toEqual({
      operation: "invoke",
      streamed: false,
      body: claudeBody.replace("{", `{${beta},`),
    });
    const body = '{ "messages": [], "additionalModelRequestFields": { "k": 1.0 } }';
    const conversed = await submitted(asking({}, { operation: "converse", headers, body }));
    expect(conversed.request.native.body).toBe(body.replace('{ "k"', `{${beta}, "k"`));
  });

  test("a value that no header can have is refused", async () => {
    const error = await refusalOf(asking({}, { headers: { "x-amzn-bedrock-trace": "a\r\nhost: b" } }));
    expect(error).toMatchObject({ code: "invalid_request", details: { field: "x-amzn-bedrock-trace" } });
  });
});
