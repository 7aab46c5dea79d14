// The image is built here as far as that goes without Docker: from what the Dockerfile copies and .dockerignore lets
// through, with its own commands.
import { execFile } from "node:child_process";
import { cpSync, existsSync, readFileSync, symlinkSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "../..");
const read = (name: string) => readFileSync(join(root, name), "utf8");

test("what is copied is enough to build the service, and the result starts", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-image-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [build, image] = read("Dockerfile")
    .split(/^FROM .*\n/m)
    .slice(1) as [string, string];
  const context = [...read(".dockerignore").matchAll(/^!(.+)$/gm)].map(([, name]) => name!);
  const copied = [...build.matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, names]) => names!.split(" "));
  expect(copied.filter((name) => !context.includes(name))).toEqual([]);
  for (const name of copied) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  expect(build).toContain("RUN npm run build");
  await run("npm", ["run", "build"], { cwd: folder });

  for (const [, name] of image.matchAll(/^COPY --from=build \/app\/(\S+)/gm)) {
    expect(existsSync(join(folder, name!)), name).toBe(true);
  }
  const [, entry] = /^ENTRYPOINT \["node", "(.+)"\]$/m.exec(image)!;
  const { stdout } = await run("node", [entry!, "--help"], { cwd: folder });
  expect(stdout).toContain("serve");
  expect(existsSync(join(folder, "dist/web/index.html"))).toBe(true);
});
