// Holds the direction of imports: what a folder of src may import from another. Adapters never import each other.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const src = resolve(import.meta.dirname, "../src");

/** A room and the rooms it may import from, besides itself. A nested room is an adapter of its port. */
const mayImport: Record<string, string[]> = {
  domain: [],
  schema: ["domain"],
  scheduler: ["domain"],
  "scheduler/memory": ["scheduler", "domain"],
  "scheduler/redis": ["scheduler", "domain"],
  store: ["domain"],
  "store/sqlite": ["store", "domain"],
  "store/mongo": ["store", "domain"],
  events: ["domain"],
  "events/memory": ["events", "domain"],
  "events/redis": ["events", "domain"],
  providers: ["domain"],
  "providers/bedrock": ["providers", "domain"],
  "providers/openai": ["providers", "domain"],
  simulator: ["domain", "schema"],
  config: ["domain", "schema", "scheduler"],
  jobs: ["domain", "scheduler", "store", "events", "config"],
  legacy: ["jobs"],
  worker: ["domain", "scheduler", "store", "events", "providers", "config", "jobs"],
  discovery: ["domain", "config", "store", "providers", "providers/bedrock"],
  http: ["domain", "schema", "scheduler", "store", "events", "config", "jobs"],
  client: [],
  cli: ["main", "client", "config", "domain", "simulator", "discovery"],
  main: [
    "domain",
    "scheduler",
    "scheduler/memory",
    "scheduler/redis",
    "store",
    "store/sqlite",
    "store/mongo",
    "events",
    "events/memory",
    "events/redis",
    "providers",
    "providers/bedrock",
    "providers/openai",
    "simulator",
    "config",
    "jobs",
    "legacy",
    "worker",
    "discovery",
    "http",
  ],
};

function roomOf(path: string): string {
  const folders = dirname(relative(src, path)).split("/");
  if (folders[0] === ".") return "main";
  const nested = folders.slice(0, 2).join("/");
  return nested in mayImport ? nested : folders[0]!;
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((f) => f.endsWith(".ts"))
  .map((f) => join(src, f));

function importsOf(path: string): string[] {
  const text = readFileSync(path, "utf8");
  const specifiers = [
    ...text.matchAll(/(?:from|import\(|import)\s*"(\.[^"]+)"/g),
    ...text.matchAll(/new URL\("(\.[^"]+\.ts)"/g),
  ];
  return specifiers.map((m) => resolve(dirname(path), m[1]!));
}

test("every folder of src is a known room", () => {
  expect(files.map(roomOf).filter((room) => !(room in mayImport))).toEqual([]);
});

test("imports go one way", () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => roomOf(target) !== roomOf(file) && !mayImport[roomOf(file)]?.includes(roomOf(target)))
      .map((target) => `${relative(src, file)} imports ${relative(src, target)}`),
  );
  expect(wrong).toEqual([]);
});

test("files stay small enough to read in one sitting", () => {
  const long = files
    .map((f) => ({ file: relative(src, f), lines: readFileSync(f, "utf8").split("\n").length }))
    .filter((f) => f.lines > 400);
  expect(long).toEqual([]);
});
