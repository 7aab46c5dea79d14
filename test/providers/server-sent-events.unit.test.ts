// The parser of event streams returns the same events wherever the bytes are split.
import { expect, test } from "vitest";
import { EventParser } from "../../src/providers/openai/server-sent-events.ts";

const lines = [
  ": a comment",
  "",
  "event: error",
  "id: 7",
  'data: {"text":',
  'data:"é👋"}',
  "",
  "data",
  "data:  two spaces",
  "",
  "retry: 3",
  "",
  "data: the last",
  "",
  "",
];
const expected = [{ event: "error", data: '{"text":\n"é👋"}' }, { data: "\n two spaces" }, { data: "the last" }];

function parse(...chunks: Uint8Array[]) {
  const parser = new EventParser();
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
}

test.each([
  ["LF", "\n"],
  ["CRLF", "\r\n"],
  ["CR", "\r"],
])("lines that end with %s, split anywhere", (_, end) => {
  const bytes = Buffer.from(lines.join(end));
  expect(parse(bytes)).toEqual(expected);
  expect(parse(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(expected);
  for (let at = 0; at <= bytes.length; at++) {
    expect(parse(bytes.subarray(0, at), bytes.subarray(at))).toEqual(expected);
  }
});

test("an event comes as soon as it is complete", () => {
  const parser = new EventParser();
  expect(parser.push(Buffer.from("data: a\n"))).toEqual([]);
  expect(parser.push(Buffer.from("\ndata: b"))).toEqual([{ data: "a" }]);
  expect(parser.push(Buffer.from("\n\n"))).toEqual([{ data: "b" }]);
  expect(parser.end()).toEqual([]);
});

test("a long line in many chunks is scanned once", () => {
  const parser = new EventParser();
  const piece = Buffer.from("x".repeat(1_000));
  parser.push(Buffer.from("data: "));
  for (let i = 0; i < 10_000; i++) parser.push(piece);
  expect(parser.push(Buffer.from("\n\n"))[0]?.data).toHaveLength(10_000_000);
  // A parser that scanned the line again with every chunk would take two minutes, beyond this test's timeout.
});

test("an event that is longer than any answer is refused", () => {
  const parser = new EventParser();
  const megabyte = Buffer.from("x".repeat(1024 * 1024));
  expect(() => {
    for (let i = 0; i < 40; i++) parser.push(megabyte);
  }).toThrow(/larger than/);
});
