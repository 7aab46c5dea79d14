// The README's configuration file, saved as it is.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { run, start } from "../cli/support.ts";

const readme = readFileSync(resolve(import.meta.dirname, "../../README.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "sluice-readme-"));
writeFileSync(join(folder, "sluice.yaml"), /^```yaml\n(.*?)^```$/ms.exec(readme)![1]!);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("F8: the file starts with the simulator, as the README says", async () => {
  const [, variable, value] = /^(SLUICE_PROVIDER)=(\w+) npm start$/m.exec(readme)!;
  const { printed, child, ended } = start(["serve", "--port", "0"], { cwd: folder, env: { [variable!]: value! } });
  await printed(/Answers +THE BUILT-IN SIMULATOR/);
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
});

test("F8: without credentials the file alone does not start, and the error says how to keep the simulator", async () => {
  const { code, stderr } = await run(["serve", "--port", "0"], { cwd: folder });
  expect(code).toBe(1);
  expect(stderr).toContain("SLUICE_PROVIDER=simulator");
});
