// docs/errors.md has a row for every code, and says what the table says.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorTable } from "../../src/domain/errors.ts";

test("docs/errors.md and the table of codes agree", () => {
  const text = readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| (.*?) \| (.*?) \|$/gm)].map(
    ([, code, status, , advice]) => [code, { status: Number(status), advice }] as const,
  );
  expect(Object.fromEntries(rows)).toEqual(errorTable);
  expect(rows.length).toBe(Object.keys(errorTable).length);
});
