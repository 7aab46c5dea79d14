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

test("a tool's result stays, whatever it says", () => {
  const messages: Message[] = [{ role: "user", content: [{ type: "tool_result", callId: "c1", text: "" }] }];
  expect(normaliseMessages(messages)).toEqual(messages);
});

test("of nothing but blanks nothing is left", () => {
  expect(normaliseMessages([{ role: "user", content: [text(" "), text("\t")] }])).toEqual([]);
});

const blocks: fc.Arbitrary<ContentBlock> = fc.oneof(
  fc.constantFrom("", " ", "\n\t", "a", " b ", "c d").map(text),
  fc.record({ type: fc.constant("tool_call" as const), id: fc.string(), name: fc.string(), input: fc.jsonValue() }),
  fc.record({ type: fc.constant("tool_result" as const), callId: fc.string(), text: fc.constantFrom("", "x") }),
);
const conversations: fc.Arbitrary<Message[]> = fc.array(
  fc.record({
    role: fc.constantFrom("user" as const, "assistant" as const),
    content: fc.array(blocks, { maxLength: 4 }),
  }),
  { maxLength: 12 },
);

const isBlank = (block: ContentBlock) => block.type === "text" && block.text.trim() === "";

test("the result is what providers take, and says the same", () => {
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
      const said = (all: Message[]) => all.flatMap(({ role, content }) => content.map((block) => ({ role, block })));
      expect(said(result)).toEqual(said(messages).filter(({ block }) => !isBlank(block)));
      expect(normaliseMessages(result)).toEqual(result);
    }),
  );
});
