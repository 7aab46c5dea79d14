// sluice.example.yaml documents the configuration file: it has every key, is valid, and means the defaults.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { fileSchema } from "../../src/config/config-schema.ts";
import { load } from "./support.ts";

const example = readFileSync(resolve(import.meta.dirname, "../../sluice.example.yaml"), "utf8");

test("without changes it means the defaults", async () => {
  const { source: _s, dataDir: _d, ...settings } = await load({ yaml: example });
  const { source: _s2, dataDir: _d2, ...defaults } = await load({});
  expect(settings).toEqual(defaults);
});

/** Uncomments the keys that begin with # and no space. */
const complete = example.replace(/^( *)#(?=\S)/gm, "$1");

test("with all its keys uncommented it is valid, and only its examples make a difference", async () => {
  const settings = await load({ yaml: complete, env: { OPENAI_API_KEY: "test" } });
  const defaults = await load({});
  expect(settings.models.local?.deployments).toMatchObject([
    { id: "openai/ollama/llama3.3", region: "local", quotas: [], openai: { apiKeyEnv: "OPENAI_API_KEY" } },
  ]);
  delete settings.models.local;
  const [deployment] = settings.models["llama3-3-70b"]!.deployments;
  expect(deployment!.endpoint).toBe("http://127.0.0.1:9000");
  expect(deployment!.quotas.pop()).toMatchObject({ name: "us-east-1 per day", resetHourUtc: 0 });
  delete deployment!.endpoint;
  const model = settings.models["llama3-3-70b"]!;
  expect(model.deployments.pop()!.id).toBe("bedrock/us-west-2@research/us.meta.llama3-3-70b-instruct-v1:0");
  expect(model.fallbackModels.splice(0)).toEqual(["nova-2-lite"]);
  expect(settings.models).toEqual(defaults.models);
  // The default is the sum of maxConcurrency: the local model and the other account's have 50 each.
  expect(settings.worker).toEqual({ ...defaults.worker, concurrency: 100 });
  expect(settings.tenantWeights).toEqual({ default: 1, acme: 2 });
});

interface Schema {
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  items?: Schema;
}

/** Formats a key as `limits.maxWaitS`. Names that the operator chooses become `*`, and entries of lists `[]`. */
function keysOfSchema(schema: Schema, path = ""): string[] {
  const below = Object.entries(schema.properties ?? {}).flatMap(([key, value]) => [
    `${path}.${key}`,
    ...keysOfSchema(value, `${path}.${key}`),
  ]);
  const named = Object.values(schema.patternProperties ?? {}).flatMap((value) => keysOfSchema(value, `${path}.*`));
  return [...below, ...named, ...(schema.items ? keysOfSchema(schema.items, `${path}[]`) : [])];
}

function keysOfValue(schema: Schema, value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((entry) => keysOfValue(schema.items!, entry, `${path}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, below]) => {
    if (!schema.properties) return keysOfValue(Object.values(schema.patternProperties!)[0]!, below, `${path}.*`);
    return [`${path}.${key}`, ...keysOfValue(schema.properties[key]!, below, `${path}.${key}`)];
  });
}

test("it contains every key of the schema", () => {
  const schema = fileSchema as unknown as Schema;
  const found = new Set(keysOfValue(schema, parse(complete)));
  expect(keysOfSchema(schema).filter((key) => !found.has(key))).toEqual([]);
});
