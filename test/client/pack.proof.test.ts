// What `npm pack` makes, installed elsewhere: the command and the client work from there.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

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
  const outside = packed.filter((path) => !/^(dist|docs)\//.test(path));
  expect(outside.sort()).toEqual(["LICENSE", "README.md", "package.json", "sluice.example.yaml"]);
  expect(packed).toEqual(expect.arrayContaining(["dist/cli/main.js", "dist/client/index.d.ts", "dist/index.d.ts"]));
  expect(packed.filter((path) => /\.(map|tsbuildinfo)$|\/test\//.test(path))).toEqual([]);
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

test("F13: the client and the library are imported from it", async () => {
  await writeFile(
    join(folder, "program.mjs"),
    `import { SluiceClient } from "sluice/client";
     import * as sluice from "sluice";
     console.log(typeof SluiceClient, Object.keys(sluice).length > 0);`,
  );
  expect((await run(process.execPath, ["program.mjs"], { cwd: folder })).stdout).toBe("function true\n");
});
