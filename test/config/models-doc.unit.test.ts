// docs/models.md and docs/openai.md match the catalogue.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import type { CatalogueRow } from "../../src/config/catalogue-families.ts";
import { modelRows } from "../../src/config/catalogue-rows.ts";
import { embeddingRows } from "../../src/config/embedding-rows.ts";
import type { Refusable } from "../../src/config/model-traits.ts";
import { jsonMode } from "../../src/domain/answer-tool.ts";

const docs = (name: string) => readFileSync(resolve(import.meta.dirname, "../../docs", name), "utf8").split("\n");

const count = (tokens: number | undefined) => tokens?.toLocaleString("en-US") ?? "?";
const known = (value: boolean | undefined) => (value === undefined ? "?" : value ? "yes" : "no");

function line(id: string, row: CatalogueRow): string {
  if (row.mantleOnly) return `| \`${id}\` | not callable: bedrock-mantle only | | | | | | | | | | |`;
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
    `${known(row.images)}${row.imageTokens === undefined ? "" : ` (${count(row.imageTokens)})`}, ${row.thinking ?? (row.fields?.reasoning_effort ? "effort" : "no")}`,
    [...(row.refuses ?? []), ...(row.serviceTiers?.length === 1 ? ["priority and flex"] : [])].join(", "),
    row.endOfLife ?? "",
    row.unconfirmed?.join(", ") ?? "",
  ].join(" | ")} |`;
}

test("every model has a line in the table, and every line a model", () => {
  const expected = Object.entries(modelRows).map(([id, row]) => line(id, row));
  expect(docs("models.md").filter((text) => /^\| `[a-z0-9]+\./.test(text))).toEqual(expected);
});

test("every embedding model has a line in its table", () => {
  const expected = Object.entries(embeddingRows).map(([id, { embeddings, contextTokens, prices, profiles = [] }]) => {
    const { textsPerCall, dimensions = [], textTokens = contextTokens, textCharacters, inputTypes = [] } = embeddings!;
    const longest = `${count(textTokens)}${textCharacters === undefined ? "" : ` (${count(textCharacters)})`}`;
    const types = inputTypes.join(", ");
    return `| ${[id, ["bare", ...profiles].join(", "), textsPerCall, longest, dimensions.join(", "), types, prices!.input].join(" | ")} |`;
  });
  expect(docs("models.md").filter((text) => /^\| [a-z]+\.[a-z-]*embed-/.test(text))).toEqual(expected);
});

/** What a client of OpenAI's API can request from the model. */
function capabilities(id: string, row: CatalogueRow): string {
  const traits = { jsonObject: false, ...row };
  const modes = { own: "mode", tool: "forced tool", none: "no" };
  const schema = row.jsonSchema === undefined ? "?" : modes[jsonMode("json_schema", traits)];
  const takes = (name: Refusable) => (row.refuses?.includes(name) ? "no" : "yes");
  const bothRefused = row.refuses?.includes("temperature") && row.refuses.includes("top_p");
  return `| ${[
    `\`${id}\``,
    row.tools === false ? "no" : row.streamingTools === false ? "yes, not streamed" : known(row.tools),
    row.tools === false ? "no" : takes("forced_tool_choice"),
    schema,
    modes[jsonMode("json_object", traits)],
    bothRefused ? "neither" : row.refuses?.includes("temperature_with_top_p") ? "one of them" : "yes",
    takes("stop"),
    row.prefill ?? "?",
    known(row.images),
  ].join(" | ")} |`;
}

test("F12: docs/openai.md says what each model supports", () => {
  const callable = Object.entries(modelRows).filter(([, row]) => !row.mantleOnly);
  const expected = callable.map(([id, row]) => capabilities(id, row));
  expect(docs("openai.md").filter((text) => /^\| `[a-z0-9]+\.[a-z]/.test(text))).toEqual(expected);
});
