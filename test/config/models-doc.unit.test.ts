// docs/models.md shows the catalogue as it is.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { type CatalogueRow, modelRows } from "../../src/config/catalogue-rows.ts";

const page = readFileSync(resolve(import.meta.dirname, "../../docs/models.md"), "utf8");

const count = (tokens: number | undefined) => tokens?.toLocaleString("en-US") ?? "?";
const known = (value: boolean | undefined) => (value === undefined ? "?" : value ? "yes" : "no");

function line(id: string, row: CatalogueRow): string {
  if (row.mantleOnly) return `| \`${id}\` | not callable: bedrock-mantle only | | | | | | | | | |`;
  const { input, output, cacheRead, cacheWrite } = row.prices ?? {};
  const cache = cacheRead === undefined ? "" : ` (${cacheRead}${cacheWrite === undefined ? "" : ` / ${cacheWrite}`})`;
  const callable = [...(row.onDemand === false ? [] : [row.onDemand ? "bare" : "bare?"]), ...(row.profiles ?? [])];
  return `| ${[
    `\`${id}\``,
    callable.join(", "),
    `${count(row.contextTokens)} / ${count(row.maxOutputTokens)}`,
    input === undefined ? "?" : `${input} / ${output}${cache}`,
    row.outputBurndown ?? 1,
    `${known(row.tools)}, ${known(row.tools === false ? false : row.streamingTools)}`,
    `${known(row.jsonSchema)}, ${row.promptCache ?? "?"}`,
    row.prefill ?? "?",
    [...(row.refuses ?? []), ...(row.serviceTiers?.length === 1 ? ["priority and flex"] : [])].join(", "),
    row.endOfLife ?? "",
    row.unconfirmed?.join(", ") ?? "",
  ].join(" | ")} |`;
}

test("every model has its line in the table, and every line its model", () => {
  const expected = Object.entries(modelRows).map(([id, row]) => line(id, row));
  const found = page.split("\n").filter((text) => /^\| `[a-z0-9]+\./.test(text));
  expect(found).toEqual(expected);
});
