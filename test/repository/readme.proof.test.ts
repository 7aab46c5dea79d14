// Runs what the README shows beyond the quick start: its configuration file, and its Python programs.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, inject, test } from "vitest";
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

const python = inject("python");

describe.skipIf(python === null)("Python", () => {
  test("the OpenAI client and the batch of a thousand prompts run as written", { timeout: 120_000 }, async () => {
    const cwd = join(folder, "python");
    mkdirSync(cwd);
    const service = start(["serve", "--port", "0"], { cwd });
    const [, url] = await service.printed(/ready on (\S+)/);
    const programs = [...readme.matchAll(/^```python\n(.*?)^```$/gms)].map((match) => match[1]!);
    expect(programs).toHaveLength(2);
    const program = `${programs.join("\n").replaceAll("http://127.0.0.1:8000", url!)}\nprint(batch.id)\n`;
    const env = { PATH: process.env.PATH, HOME: cwd, PYTHONDONTWRITEBYTECODE: "1" };
    const { stdout } = await promisify(execFile)(python!, ["-c", program], { cwd, env, timeout: 60_000 });
    expect(stdout).toMatch(/^\[synthetic answer .* blue.*\nbatch_\w+\n$/s);

    const [id] = /batch_\w+/.exec(stdout)!;
    const batch = async () => (await fetch(`${url}/v1/batches/${id}`)).json();
    await expect.poll(batch, { timeout: 20_000 }).toMatchObject({
      status: "in_progress",
      request_counts: { total: 1000, failed: 0 },
    });
  });
});
