// Holds the direction of imports: what each module of src may import. Adapters never import each other.
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const src = resolve(import.meta.dirname, "../../src");

const ports = ["scheduler", "store", "events"];
/** What every use case may import. */
const useCases = ["domain", "config", ...ports, "telemetry", "jobs", "jobs/tokens"];
const http = [
  "domain",
  "event-stream",
  "native",
  "config",
  "scheduler",
  "telemetry",
  "jobs",
  "wire",
  "wire/openai",
  "wire/bedrock",
  "wire/anthropic",
];
const worker = [...useCases, "providers", "worker"];
const adapters = [...ports.flatMap((port) => [`${port}/memory`, `${port}/redis`, `${port}/sqlite`, `${port}/mongo`])];

/**
 * Each module and the modules that it may import, apart from itself. A folder is a module, a nested folder is one of its
 * own if it is listed, and so is a file that puts the parts of its folder together. Modules are in the order in which they
 * build on each other.
 */
const mayImport: Record<string, readonly string[]> = {
  domain: [],
  schema: ["domain"],
  "event-stream": [],
  native: ["domain"],
  scheduler: ["domain"],
  "scheduler/memory": ["domain", "scheduler"],
  "scheduler/redis": ["domain", "scheduler"],
  store: ["domain"],
  "store/sqlite": ["domain", "store"],
  "store/mongo": ["domain", "store"],
  events: ["domain"],
  "events/memory": ["domain", "events"],
  "events/redis": ["domain", "events"],
  providers: ["domain"],
  "providers/bedrock": ["domain", "event-stream", "native", "providers"],
  "providers/openai": ["domain", "providers"],
  simulator: ["domain", "schema", "event-stream"],
  config: ["domain", "schema", "scheduler"],
  discovery: ["domain", "config", "store", "providers", "providers/bedrock"],
  telemetry: ["domain", "config", ...ports],

  "jobs/tokens": ["domain", "config"],
  jobs: ["domain", "config", ...ports, "telemetry", "jobs/tokens"],
  "jobs/audit": useCases,
  "jobs/keys": [...useCases, "jobs/audit"],
  "jobs/sessions": [...useCases, "jobs/keys"],
  "jobs/webhooks": [...useCases, "jobs/audit"],
  "jobs/submit": [...useCases, "jobs/webhooks"],
  "jobs/files": [...useCases, "jobs/submit"],
  "jobs/batches": [...useCases, "jobs/audit", "jobs/webhooks", "jobs/submit", "jobs/files"],
  "jobs/limits": [...useCases, "jobs/keys", "jobs/batches"],
  "jobs/read": [...useCases, "jobs/batches"],
  "jobs/history": [...useCases, "discovery"],
  "jobs/control": [...useCases, "jobs/audit", "jobs/webhooks", "jobs/submit", "jobs/read"],
  "jobs/callers": [...useCases, "jobs/submit", "jobs/control"],
  "jobs/retention": [...useCases, "jobs/webhooks", "jobs/files", "jobs/batches", "jobs/limits"],
  import: [...useCases, "jobs/submit"],

  wire: [...useCases, "schema", "jobs/audit", "jobs/keys", "jobs/submit", "jobs/batches", "jobs/read", "jobs/history"],
  "wire/openai": [...useCases, "jobs/submit", "jobs/files", "jobs/batches", "jobs/read", "wire"],
  "wire/bedrock": ["domain", "event-stream", "native", "config"],
  "wire/anthropic": ["domain", "native", "config", "jobs/submit"],
  "wire/webhook-resource.ts": [...useCases, "jobs/batches", "wire", "wire/openai"],

  worker: useCases.concat("providers"),
  "worker/attempt": [...worker, "jobs/webhooks", "jobs/batches", "jobs/control", "jobs/retention"],
  "worker/recovery": [...worker, "jobs/control", "jobs/callers", "worker/attempt"],
  "worker/batches": [...worker, "jobs/submit", "jobs/files", "jobs/batches", "jobs/control"],
  "worker/webhooks": [...worker, "jobs/webhooks", "jobs/batches", "jobs/retention"],
  "worker/retention": [...worker, "jobs/submit", "jobs/retention", "worker/batches"],
  "worker/worker.ts": [...worker, "jobs/batches", "jobs/control", "worker/attempt"],
  "worker/start-work.ts": [
    ...worker,
    "jobs/submit",
    "jobs/control",
    "jobs/callers",
    "jobs/sessions",
    "worker/recovery",
    "worker/worker.ts",
  ],

  http: [...http, "jobs/keys", "jobs/submit", "jobs/callers", "jobs/retention"],
  "http/hooks": [...http, "jobs/keys", "jobs/submit", "http"],
  "http/synchronous": [...http, "jobs/submit", "jobs/read", "jobs/callers", "http"],
  "http/routes": [
    ...[
      ...http,
      "store",
      "jobs/tokens",
      "jobs/audit",
      "jobs/keys",
      "jobs/webhooks",
      "jobs/submit",
      "jobs/files",
      "jobs/batches",
    ],
    ...[
      "jobs/read",
      "jobs/history",
      "jobs/control",
      "jobs/callers",
      "jobs/retention",
      "wire/webhook-resource.ts",
      "http",
      "http/hooks",
      "http/synchronous",
    ],
  ],
  "http/ui": [...http, "jobs/keys", "jobs/sessions", "http", "http/hooks", "http/routes"],
  "http/server.ts": [
    ...[...http, "jobs/keys", "jobs/read", "jobs/control", "jobs/callers", "wire/webhook-resource.ts"],
    ...["http", "http/hooks", "http/routes", "http/ui"],
  ],
  "http/metrics-server.ts": [...http, "http", "http/hooks", "http/routes"],

  service: [
    ...[...useCases, ...adapters, "providers", "providers/bedrock", "providers/openai", "simulator", "discovery"],
    ...[
      "jobs/audit",
      "jobs/keys",
      "jobs/webhooks",
      "jobs/submit",
      "jobs/files",
      "jobs/limits",
      "jobs/read",
      "jobs/history",
      "jobs/control",
    ],
    ...["jobs/callers", "jobs/retention", "import", "wire", "wire/openai", "wire/webhook-resource.ts"],
    ...["worker", "worker/recovery", "worker/batches", "worker/webhooks", "worker/retention", "worker/start-work.ts"],
    ...["http", "http/server.ts", "http/metrics-server.ts"],
  ],
  client: [],
  cli: ["service", "client", "config", "domain", "simulator", "discovery"],
  "index.ts": ["service", "config"],
};

/** Returns the module that a file is in: the longest of the names that fit. */
function moduleOf(path: string): string | undefined {
  for (let name = relative(src, path); name !== "."; name = dirname(name)) if (name in mayImport) return name;
  return undefined;
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

test("every file of src is in a known module", () => {
  expect(files.filter((file) => moduleOf(file) === undefined)).toEqual([]);
});

test("modules are in the order in which they build on each other", () => {
  const names = Object.keys(mayImport);
  const wrong = names.flatMap((name, i) =>
    mayImport[name]!.filter((other) => !adapters.includes(other) && other !== name && names.indexOf(other) >= i).map(
      (other) => `${name} may import ${other}, which comes later`,
    ),
  );
  expect(wrong).toEqual([]);
});

test("docs/architecture.md lists every module, in this order", () => {
  const page = readFileSync(resolve(src, "../docs/architecture.md"), "utf8");
  const [, table] = /^\| module \| purpose \|\n(.*?)\n\n/ms.exec(page)!;
  const listed = [...table!.matchAll(/^\| (.*?) \|/gm)].flatMap(([, names]) =>
    [...names!.matchAll(/`(.+?)\/?`/g)].map(([, name]) => name!),
  );
  expect(listed).toEqual(Object.keys(mayImport));
});

test("imports go one way", () => {
  const wrong = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => moduleOf(target) !== moduleOf(file))
      .filter((target) => !mayImport[moduleOf(file)!]?.includes(moduleOf(target)!))
      .map((target) => `${relative(src, file)} imports ${relative(src, target)}`),
  );
  expect(wrong).toEqual([]);
});

test("only the store touches records: use cases have collections, which are scoped by environment", () => {
  const outside = files.filter((file) => !relative(src, file).startsWith("store/"));
  const touching = outside.filter((file) => /\.records\b|\{ records \}/.test(readFileSync(file, "utf8")));
  expect(touching.map((file) => relative(src, file))).toEqual([]);
});

test("only telemetry imports OpenTelemetry, and only tracing.ts imports it statically", () => {
  const importing = (pattern: RegExp) =>
    files.filter((file) => pattern.test(readFileSync(file, "utf8"))).map((file) => relative(src, file));
  expect(importing(/"@opentelemetry\//).filter((file) => !file.startsWith("telemetry/"))).toEqual([]);
  const isStatic = /^(?:import (?!type )[^;]*from |import )"@opentelemetry\/(.*?)"/m;
  expect(importing(isStatic)).toEqual(["telemetry/tracing.ts"]);
});

test("files have names of their own", () => {
  const names = files.map((file) => basename(file)).filter((name) => name !== "index.ts");
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});

test("files have at most 400 lines", () => {
  const long = files
    .map((f) => ({ file: relative(src, f), lines: readFileSync(f, "utf8").split("\n").length }))
    .filter((f) => f.lines > 400);
  expect(long).toEqual([]);
});
