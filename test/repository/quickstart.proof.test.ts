// Runs the README's quick start as written: start, submit, poll, read the answer, find it in the database file.
// What the README and docs/api.md show must be what the service gives; only times, ids, the port and the folder may differ.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { DatabaseSync } from "@photostructure/sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const api = readFileSync(join(root, "docs/api.md"), "utf8");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Returns the code blocks of a language, in their order. */
function blocks(language: string, page = readme): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map((match) => match[1]!.trim());
}

const [startCommand, testCommand, enqueueCommand, statusCommand, cliCommand] = blocks("sh");
const [shownAccepted, shortened] = blocks("json").map((block) => JSON.parse(block));
/** The README shows some of these fields. */
const shownJob = blocks("json", api)
  .map((block) => JSON.parse(block))
  .find(({ attempts }) => attempts !== undefined);
const [shownBanner] = blocks("text");
const readmeUrl = "http://127.0.0.1:8000";

let folder: string;
let service: ChildProcess | undefined;
let url: string;
let banner: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-quickstart-"));
  execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "inherit" });
  // In a folder of its own, so that the checkout's data and configuration are left alone.
  copyFileSync(join(root, "package.json"), join(folder, "package.json"));
  symlinkSync(join(root, "dist"), join(folder, "dist"));
  const child = spawn("npm", ["start", "--ignore-scripts"], {
    cwd: folder,
    env: { ...process.env, PORT: "0" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  service = child;
  banner = await new Promise((found, failed) => {
    let printed = "";
    child.stdout.on("data", (chunk) => {
      printed += chunk;
      const match = /^Sluice is ready on .*?^ {2}Answers .*?$/ms.exec(printed);
      if (match) found(match[0]);
    });
    child.once("exit", (code) => failed(new Error(`the service ended with ${code}: ${printed}`)));
  });
  url = /ready on (\S+)/.exec(banner)![1]!;
});

afterAll(() => {
  service?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command of the README as it stands there, but against the service of this test. */
async function type(command: string): Promise<string> {
  const shell = spawn("sh", ["-c", command.replaceAll(readmeUrl, url)], {
    cwd: root,
    env: { ...process.env, SLUICE_URL: url },
    stdio: ["ignore", "pipe", "ignore"],
  });
  return text(shell.stdout);
}

test("the two commands are those of package.json", () => {
  expect(startCommand).toBe("npm ci && npm start");
  expect(testCommand).toBe("npm ci && npm test");
  expect(scripts).toMatchObject({
    prestart: "npm run --silent build",
    test: "vitest run --project unit --project service",
  });
});

test("it says where everything is and who answers", () => {
  expect(shownBanner!.replaceAll(readmeUrl, url).replace("/home/you/sluice/data", join(folder, "data"))).toBe(banner);
});

test("a first request, its answer, and the answer in the database", async () => {
  const accepted = JSON.parse(await type(enqueueCommand!));
  expect(accepted).toEqual({ ...shownAccepted, job_id: accepted.job_id });

  const status = async () => JSON.parse(await type(statusCommand!.replace(shownAccepted.job_id, accepted.job_id)));
  await expect.poll(async () => (await status()).status, { timeout: 15_000 }).toBe("completed");
  const job = await status();
  expect(job).toEqual({
    ...shownJob,
    job_id: accepted.job_id,
    created_at: expect.stringMatching(/^20\d\d-.*Z$/),
    finished_at: expect.stringMatching(/^20\d\d-.*Z$/),
    attempts: [
      {
        ...shownJob.attempts[0],
        started_at: expect.stringMatching(/^20\d\d-.*Z$/),
        waited_ms: expect.any(Number),
        waited: expect.any(Array),
        duration_ms: expect.any(Number),
        first_token_ms: expect.any(Number),
        tokens_per_second: expect.any(Number),
      },
    ],
  });
  expect(Object.keys(job)).toEqual(Object.keys(shownJob));
  expect(job).toMatchObject({ ...shortened, job_id: accepted.job_id });
  expect(Object.keys(job).filter((field) => field in shortened)).toEqual(Object.keys(shortened));

  const database = new DatabaseSync(join(folder, "data/SSP-dev.sqlite"), { readOnly: true });
  const row = database.prepare("SELECT text FROM generated_texts WHERE job_id = ?").get(accepted.job_id);
  database.close();
  expect(row).toEqual({ text: job.text });
});

test("the same from the command line prints the answer alone", async () => {
  expect(await type(cliCommand!)).toBe(`${shownJob.text}\n`);
});

test("SIGTERM to npm ends the service in good order, and npm waits for that", async () => {
  const ended = new Promise((resolve) => service!.once("exit", (code, signal) => resolve({ code, signal })));
  service!.kill("SIGTERM");
  expect(await ended).toEqual({ code: 0, signal: null });
  await expect(fetch(url)).rejects.toThrow();
  expect(existsSync(join(folder, "data/sluice.pid"))).toBe(false);
});
