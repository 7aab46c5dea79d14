// What `npm pack` makes, installed elsewhere: the command and the client work from there.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startSluice } from "../support/sluice-process.ts";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
let folder: string;
let packed: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-pack-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: root });
  // The build may print lines before it.
  const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf("[\n")));
  packed = files.map(({ path }: { path: string }) => path);
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "user", private: true, type: "module" }));
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline"];
  await run("npm", ["install", ...quiet, `./${filename}`], { cwd: folder });
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test("F13: the package holds the build and what explains it, and nothing else", () => {
  const outside = packed.filter((path) => !/^(dist|docs|monitoring)\//.test(path));
  expect(outside.sort()).toEqual(["LICENSE", "README.md", "package.json", "sluice.example.yaml"]);
  expect(packed).toEqual(expect.arrayContaining(["dist/cli/main.js", "dist/client/index.d.ts", "dist/index.d.ts"]));
  expect(packed.filter((path) => /\.(map|tsbuildinfo)$|\/test\//.test(path))).toEqual([]);
  // Nothing is left of sources that were renamed or deleted.
  const declarations = packed.filter((path) => path.endsWith(".d.ts"));
  const sourceOf = (path: string) => join(root, path.replace(/^dist/, "src").replace(/\.d\.ts$/, ".ts"));
  expect(declarations.filter((path) => !existsSync(sourceOf(path)))).toEqual([]);
});

test("F13: the command runs from it", async () => {
  const sluice = join(folder, "node_modules/.bin/sluice");
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  expect((await run(sluice, ["--version"], { cwd: folder })).stdout).toBe(`${version}\n`);
  const { stdout } = await run(
    sluice,
    ["keys", "create", "--name", "a", "--url", "http://127.0.0.1:1", "--data-dir", "data"],
    {
      cwd: folder,
    },
  ).catch((error) => error);
  expect(stdout).toMatch(/^sk-sluice-/);
  expect(await readdir(join(folder, "data"))).toContain("sluice.sqlite");
});

test("its command and its client work together: a service, a batch, its answers", async () => {
  const sluice = join(folder, "node_modules/.bin/sluice");
  const { AWS_PROFILE: _, ...plain } = process.env;
  const quick =
    "defaultModel: m\nmodels: { m: { deployments: [{ region: us-east-1, modelId: us.amazon.nova-2-lite-v1:0, quotas: [{ unit: requests, per: minute, limit: 1000, burst: 100 }] }] } }\n";
  await writeFile(join(folder, "sluice.yaml"), quick, { mode: 0o600 });
  const env = { ...plain, SLUICE_PROVIDER: "simulator", SLUICE_LOG_LEVEL: "silent" };
  const { child, url } = await startSluice(
    ["serve", "--port", "0", "--data-dir", "served"],
    { cwd: folder, env },
    sluice,
  );
  try {
    const options = { cwd: folder, env: { ...env, SLUICE_URL: url } };
    const line = {
      custom_id: "a",
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "m", messages: [{ role: "user", content: "Hi" }] },
    };
    await writeFile(join(folder, "in.jsonl"), `${JSON.stringify(line)}\n`);
    const submitted = await run(sluice, ["batch", "submit", "in.jsonl", "--wait"], options);
    expect(submitted.stdout).toMatch(/^Batch batch_\w+ is completed: 1 of 1 line completed, \$0\.\n$/);
    expect((await run(sluice, ["doctor", "--data-dir", "served"], options)).stdout).toMatch(/\nNothing to fix\.\n$/);
    await writeFile(
      join(folder, "batch.mjs"),
      `import { SluiceClient } from "sluice/client";
       const sluice = new SluiceClient({ baseUrl: process.env.SLUICE_URL });
       for await (const { id } of sluice.listBatches())
         for await (const { customId, text } of sluice.batchResults(id)) console.log(customId, text.slice(0, 10));`,
    );
    expect((await run(process.execPath, ["batch.mjs"], options)).stdout).toBe("a [synthetic\n");
  } finally {
    child.kill("SIGTERM");
  }
}, 120_000);

test("F13: the client and the library are imported from it", async () => {
  await writeFile(
    join(folder, "program.mjs"),
    `import { SluiceClient } from "sluice/client";
     import * as sluice from "sluice";
     console.log(typeof SluiceClient, Object.keys(sluice).length > 0);`,
  );
  expect((await run(process.execPath, ["program.mjs"], { cwd: folder })).stdout).toBe("function true\n");
});
