// The dashboard's advice about errors: for codes that exist, in words for people.
import { expect, test } from "vitest";
import { errorTable } from "../../src/domain/errors.ts";
import { errorAdvice } from "../../web/src/error-advice.ts";

test.each(Object.entries(errorAdvice))("the advice about %s is for people, not for programs", (code, text) => {
  expect(Object.keys(errorTable)).toContain(code);
  expect(text).not.toMatch(/header|\/v1\/|GET|POST|JSON/i);
});
