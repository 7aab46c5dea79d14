// sluice/client as a package: what the build makes of it is found under its name, needs nothing else, and has types.
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = resolve(import.meta.dirname, "../..");
const run = promisify(execFile);
const tsc = (args: string[], cwd: string) =>
  run(process.execPath, [join(root, "node_modules/.bin/tsc"), ...args], { cwd });
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-client-"));
  const installed = join(folder, "node_modules/sluice");
  await mkdir(installed, { recursive: true });
  await cp(join(root, "package.json"), join(installed, "package.json"));
  // The client alone, with the options of the build.
  const build = { extends: join(root, "tsconfig.build.json"), include: [join(root, "src/client")] };
  const own = {
    rootDir: join(root, "src"),
    outDir: join(installed, "dist"),
    incremental: false,
    tsBuildInfoFile: null,
    typeRoots: [join(root, "node_modules/@types")],
  };
  await writeFile(join(folder, "build.json"), JSON.stringify({ ...build, compilerOptions: own }));
  await tsc(["-p", "build.json"], folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("is imported by its name, with nothing installed beside it", async () => {
  await writeFile(
    join(folder, "program.mjs"),
    `import * as client from "sluice/client";
     const sluice = new client.SluiceClient({ baseUrl: "http://127.0.0.1:1", maxRetries: 0 });
     const error = await sluice.get("1").catch((reason) => reason);
     console.log(JSON.stringify([Object.keys(client).sort(), error.name]));`,
  );
  const { stdout } = await run(process.execPath, ["program.mjs"], { cwd: folder });
  const [names, error] = JSON.parse(stdout);
  expect(names).toEqual([
    "SluiceApiError",
    "SluiceBatchError",
    "SluiceClient",
    "SluiceConnectionError",
    "SluiceTimeoutError",
  ]);
  expect(error).toBe("SluiceConnectionError");
});

test("has types where it is imported from: its example compiles, and mistakes in it do not", async () => {
  const example = await readFile(join(import.meta.dirname, "example.ts"), "utf8");
  const body = example.slice(example.indexOf("export async function example"));
  const names = "type BatchProgress, SluiceApiError, SluiceClient";
  await writeFile(join(folder, "program.mts"), `import { ${names} } from "sluice/client";\n${body}`);
  const options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--types", "node"];
  const roots = ["--typeRoots", join(root, "node_modules/@types")];
  await tsc([...options, ...roots, "program.mts"], folder).catch(({ stdout }) => expect(stdout).toBe(""));
});
