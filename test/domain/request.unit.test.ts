import fc from "fast-check";
import { expect, test } from "vitest";
import { type ContentBlock, type Message, normaliseMessages } from "../../src/domain/request.ts";

const text = (value: string): ContentBlock => ({ type: "text", text: value });

test("drops blank texts and empty messages, merges neighbours of one role", () => {
  const messages: Message[] = [
    { role: "user", content: [text("one"), text(" \n")] },
    { role: "assistant", content: [text("")] },
    { role: "user", content: [text("two")] },
    { role: "assistant", content: [] },
    { role: "assistant", content: [text("three")] },
  ];
  expect(normaliseMessages(messages)).toEqual([
    { role: "user", content: [text("one"), text("two")] },
    { role: "assistant", content: [text("three")] },
  ]);
});

test("keeps a tool's result, even a blank one", () => {
  const messages: Message[] = [{ role: "user", content: [{ type: "tool_result", callId: "c1", text: "" }] }];
  expect(normaliseMessages(messages)).toEqual(messages);
});

test("nothing remains of blanks only", () => {
  expect(normaliseMessages([{ role: "user", content: [text(" "), text("\t")] }])).toEqual([]);
});

const cachePoint = (ttl?: "5m" | "1h"): ContentBlock => ({ type: "cache_point", cache: ttl ? { ttl } : {} });

test("a cache point stays behind what it marks", () => {
  const messages: Message[] = [
    {
      role: "user",
      content: [cachePoint(), text(" "), text("one"), cachePoint(), text(""), cachePoint("1h"), cachePoint("5m")],
    },
    { role: "assistant", content: [text("two")] },
    { role: "user", content: [text(" "), cachePoint()] },
    { role: "assistant", content: [text("three")] },
  ];
  expect(normaliseMessages(messages)).toEqual([
    { role: "user", content: [text("one"), cachePoint("1h")] },
    { role: "assistant", content: [text("two"), cachePoint(), text("three")] },
  ]);
});

test("nothing remains of cache points only", () => {
  expect(normaliseMessages([{ role: "user", content: [cachePoint("1h")] }])).toEqual([]);
});

const blocks: fc.Arbitrary<ContentBlock> = fc.oneof(
  fc.constantFrom(undefined, "5m" as const, "1h" as const).map(cachePoint),
  fc.constantFrom("", " ", "\n\t", "a", " b ", "c d").map(text),
  fc.record({ type: fc.constant("tool_call" as const), id: fc.string(), name: fc.string(), arguments: fc.json() }),
  fc.record({ type: fc.constant("tool_result" as const), callId: fc.string(), text: fc.constantFrom("", "x") }),
);
const conversations: fc.Arbitrary<Message[]> = fc.array(
  fc.record({
    role: fc.constantFrom("user" as const, "assistant" as const),
    content: fc.array(blocks, { maxLength: 4 }),
  }),
  { maxLength: 12 },
);

/** Counts the non-blank blocks before each cache point, and whether one of the points there lasts an hour. */
function pointsByWhatTheyMark(messages: Message[]): [blocks: number, hour: boolean][] {
  const points = new Map<number, boolean>();
  let before = 0;
  for (const block of messages.flatMap(({ content }) => content)) {
    if (block.type !== "cache_point") before += isBlank(block) ? 0 : 1;
    else if (before > 0) points.set(before, (points.get(before) ?? false) || block.cache.ttl === "1h");
  }
  return [...points];
}

const isBlank = (block: ContentBlock) => block.type === "text" && block.text.trim() === "";

test("providers accept the result, and it means the same", () => {
  fc.assert(
    fc.property(conversations, (messages) => {
      const before = structuredClone(messages);
      const result = normaliseMessages(messages);
      expect(messages).toEqual(before);
      for (const [i, message] of result.entries()) {
        expect(message.content.length).toBeGreaterThan(0);
        expect(message.content.some(isBlank)).toBe(false);
        expect(message.role).not.toBe(result[i - 1]?.role);
      }
      const said = (all: Message[]) =>
        all.flatMap(({ role, content }) =>
          content.filter((b) => b.type !== "cache_point").map((block) => ({ role, block })),
        );
      expect(said(result)).toEqual(said(messages).filter(({ block }) => !isBlank(block)));
      expect(pointsByWhatTheyMark(result)).toEqual(pointsByWhatTheyMark(messages));
      for (const { content } of result) {
        expect(content[0]!.type).not.toBe("cache_point");
        content.forEach((block, i) => {
          if (block.type === "cache_point") expect(content[i + 1]?.type).not.toBe("cache_point");
        });
      }
      expect(normaliseMessages(result)).toEqual(result);
    }),
  );
});
