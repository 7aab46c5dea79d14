// Which Claude model a message asks for, by every name that clients use.
import { describe, expect, test } from "vitest";
import { claudeModel, claudeModelList } from "../../src/wire/anthropic/claude-model-resource.ts";
import { claudeModelOf } from "../../src/wire/anthropic/claude-models.ts";
import { testSettings } from "../support/jobs-context.ts";

const region = "us-east-1";
const sonnet45 = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const settings = testSettings({
  models: {
    sonnet: { deployments: [{ region, modelId: `us.${sonnet45}` }] },
    old: { deployments: [{ region, modelId: "anthropic.claude-3-5-sonnet-20240620-v1:0" }] },
    newer: { deployments: [{ region, modelId: "us.anthropic.claude-3-5-sonnet-20241022-v2:0" }] },
    opus: { deployments: [{ region: "eu-west-1", modelId: "eu.anthropic.claude-opus-4-6-v1" }] },
    mixed: {
      deployments: [
        { region: "us-west-2", modelId: `us.${sonnet45}` },
        { region: "us-west-2", modelId: "amazon.nova-lite-v1:0" },
      ],
    },
    llama: { deployments: [{ region, modelId: "us.meta.llama3-3-70b-instruct-v1:0" }] },
  },
  defaultModel: "sonnet",
});

test.each([
  ["sonnet", "sonnet"],
  ["claude-sonnet-4-5", sonnet45],
  ["claude-sonnet-4-5-latest", sonnet45],
  ["claude-sonnet-4-5-20250929", sonnet45],
  ["claude-opus-4-6", "anthropic.claude-opus-4-6-v1"],
  ["claude-3-5-sonnet-20240620", "anthropic.claude-3-5-sonnet-20240620-v1:0"],
  ["claude-3-5-sonnet-latest", "anthropic.claude-3-5-sonnet-20241022-v2:0"],
  ["claude-3-5-sonnet", "anthropic.claude-3-5-sonnet-20241022-v2:0"],
  [sonnet45, sonnet45],
])("%s is %s", (requested, model) => {
  expect(claudeModelOf(settings, requested)).toBe(model);
});

test("a profile stays what it is, because it names a place", () => {
  expect(claudeModelOf(settings, `us.${sonnet45}`)).toBe(`us.${sonnet45}`);
  expect(() => claudeModelOf(settings, `apac.${sonnet45}`)).toThrow(/^No deployment is in the geography apac/);
});

const choice =
  "model must be one of sonnet, old, newer, opus, claude-sonnet-4-5-20250929, claude-opus-4-6, claude-3-5-sonnet-20241022, claude-3-5-sonnet-20240620, or an ID of Bedrock.";

describe("refuses", () => {
  test.each([
    ["claude-sonnet-4-5-20240101"],
    ["claude-opus-4-1"],
    ["gpt-4o"],
    ["latest"],
    ["anthropic.claude-opus-4-1-20250805-v1:0"],
  ])("%s, with the list", (requested) => {
    expect(() => claudeModelOf(settings, requested)).toThrow(
      expect.objectContaining({ code: "unknown_model", message: `${choice} Got "${requested}".` }),
    );
  });

  test.each([["llama"], ["us.meta.llama3-3-70b-instruct-v1:0"]])("%s, which is not Claude", (requested) => {
    expect(() => claudeModelOf(settings, requested)).toThrow(
      expect.objectContaining({
        code: "invalid_request",
        message: `"${requested}" is not a Claude model on Bedrock, and only those take messages. ${choice} POST /v1/chat/completions takes every model.`,
      }),
    );
  });

  test("an alias that stands for several models", () => {
    expect(() => claudeModelOf(settings, "mixed")).toThrow(/mixed stands for .* and .*Use one of these IDs/);
  });

  test("everything, if there is no Claude", () => {
    const none = testSettings({
      models: { llama: { deployments: [{ region, modelId: "meta.llama3-x" }] } },
      defaultModel: "llama",
    });
    const message = /^model must be a Claude model on Bedrock, and the configuration has none\. Got "claude-opus-4-6"/;
    expect(() => claudeModelOf(none, "claude-opus-4-6")).toThrow(message);
  });
});

describe("the list", () => {
  const ids = (page: Parameters<typeof claudeModelList>[1]) => {
    const { data, ...rest } = claudeModelList(settings, page);
    return [data.map(({ id }) => id), rest.has_more, rest.first_id, rest.last_id];
  };

  test("has the aliases of Claude, in pages", () => {
    expect(ids({})).toEqual([["sonnet", "old", "newer", "opus"], false, "sonnet", "opus"]);
    expect(ids({ limit: 2 })).toEqual([["sonnet", "old"], true, "sonnet", "old"]);
    expect(ids({ limit: 2, after_id: "newer" })).toEqual([["opus"], false, "opus", "opus"]);
    expect(ids({ limit: 2, before_id: "opus" })).toEqual([["old", "newer"], true, "old", "newer"]);
    expect(ids({ before_id: "sonnet" })).toEqual([[], false, null, null]);
  });

  test("has a name for people, the date in the name, and the limits", () => {
    expect(claudeModelList(settings, { limit: 1 }).data).toEqual([
      {
        type: "model",
        id: "sonnet",
        display_name: "Claude Sonnet 4.5",
        created_at: "2025-09-29T00:00:00Z",
        max_input_tokens: 200_000,
        max_tokens: 64_000,
      },
    ]);
    expect(claudeModel(settings, "claude-opus-4-6")).toMatchObject({
      id: "claude-opus-4-6",
      display_name: "Claude Opus 4.6",
      created_at: "1970-01-01T00:00:00Z",
    });
    expect(claudeModel(settings, "claude-3-5-sonnet-latest")).toMatchObject({ display_name: "Claude 3.5 Sonnet" });
  });
});
