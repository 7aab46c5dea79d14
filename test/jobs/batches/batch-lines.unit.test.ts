// The lines of a batch's file, before their bodies are read.
import { expect, test } from "vitest";
import { requestLine } from "../../../src/jobs/batches/batch-lines.ts";

test("a line of too many values is refused before it is parsed", () => {
  const endpoint = "/v1/chat/completions";
  const lineOf = (values: number) => {
    const body = Array(values).fill(1);
    const text = JSON.stringify({ custom_id: "a", method: "POST", url: endpoint, body });
    return requestLine({ number: 1, text }, endpoint, 1_000_000);
  };
  expect(lineOf(349_000)).toMatchObject({ customId: "a" });
  expect(() => lineOf(350_000)).toThrow("at most 350000 values");
});
