// The dashboard's words about errors: advice for codes that exist, and messages without names of the API.
import { expect, test } from "vitest";
import { errorTable } from "../../src/domain/errors.ts";
import { errorAdvice, messageForPeople } from "../../web/src/error-words.ts";

test.each(Object.entries(errorAdvice))("the advice about %s is for people, not for programs", (code, text) => {
  expect(Object.keys(errorTable)).toContain(code);
  expect(text).not.toMatch(/header|\/v1\/|GET|POST|JSON/i);
});

test.each([
  ["submitted_after must be a time; got x.", "submitted_after", "Submitted after must be a time; got x."],
  ["status must be one of queued.", "status", "Status must be one of queued."],
  ["messages[0].content must be text.", "messages[0].content", "messages[0].content must be text."],
  ["There is no model x.", "model", "There is no model x."],
  ["The API key is unknown.", undefined, "The API key is unknown."],
])("%s", (message, field, words) => {
  expect(messageForPeople(message, field)).toBe(words);
});
