import { expect, test } from "vitest";
import { definedFields } from "../../src/domain/defined-fields.ts";

test("fields of later records win, and undefined ones are left out", () => {
  const fields = definedFields<{ a?: number; b?: number | null; c?: number }>(
    { a: 1, b: 2, c: undefined },
    { a: undefined, b: null },
  );
  expect(fields).toStrictEqual({ a: 1, b: null });
});
