// Answers of every kind of size, through the whole service: the text is bounded, its framing is not.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as openai from "../providers/fake-openai.ts";
import { type Model, startTwoProviders, type TwoProviders } from "../support/two-providers.ts";

let service: TwoProviders;
let openAi: TwoProviders["openAi"];
let run: TwoProviders["run"];
beforeAll(async () => {
  service = await startTwoProviders();
  ({ openAi, run } = service);
});
afterAll(() => service?.close());

describe("A8: the text of an answer is bounded, its framing is not", () => {
  const many = (piece: string, times: number) =>
    openai.bytes([piece.repeat(times), openai.event(openai.stop()), openai.event(openai.done)]);

  test("a million events of one character are an answer", async () => {
    openAi.respond(many(openai.event(openai.text("x")), 1_000_000));
    const job = await run("open");
    expect(job).toMatchObject({ status: "completed", attempts: [{ result: "completed" }] });
    expect(job.text).toHaveLength(1_000_000);
  }, 120_000);

  test.each([
    ["text", () => many(openai.event(openai.text("x".repeat(65_536))), 80), "open"],
    ["text beyond JSON's escapes", () => many(openai.event(openai.text("\0".repeat(65_536))), 20), "open"],
    [
      "arguments of a tool",
      () =>
        many(
          openai.event(
            openai.chunk({
              tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: " ".repeat(65_536) } }],
            }),
          ),
          80,
        ),
      "open",
    ],
    [
      "calls of tools",
      () =>
        openai.stream([
          ...Array.from({ length: 2_000 }, (_, index) =>
            openai.chunk({ tool_calls: [{ index, id: `c${index}`, function: { name: "f", arguments: "{}" } }] }),
          ),
          openai.stop("tool_calls"),
          openai.done,
        ]),
      "open",
    ],
    ["one event", () => openai.bytes(Array.from({ length: 40 }, () => "x".repeat(1024 * 1024))), "open"],
    ["a body in one piece", () => openai.plain(200, "application/json", " ".repeat(65 * 1024 * 1024)), "whole"],
  ])(
    "too much %s is one permanent error",
    async (_, handler, model) => {
      openAi.respond(handler());
      expect(await run(model as Model, { tools: [{ name: "f", input_schema: { type: "object" } }] })).toMatchObject({
        status: "failed",
        error: { code: "answer_too_large" },
        attempts: [{ result: "permanent" }],
      });
    },
    60_000,
  );
});
