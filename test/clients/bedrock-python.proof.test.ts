// boto3 and LangChain's ChatBedrockConverse against the compiled service, embedded. The simulators are in this process, so
// that their journals count the calls of Bedrock. bedrock-clients.forms.test.ts has the SDK for JavaScript.
import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { stringify } from "yaml";
import { startSluice } from "../support/sluice-process.ts";
import { expectSuites, nova, program, runPython, type Simulators, secrets, startSimulators } from "./boto3.ts";

const python = inject("python");
const timeoutMs = 120_000;

describe.skipIf(python === null)("Python", () => {
  let folder: string;
  let simulators: Simulators;
  let child: ChildProcess;
  let url: string;
  const printed: string[] = [];
  beforeAll(async () => {
    simulators = await startSimulators();
    folder = await mkdtemp(join(tmpdir(), "sluice-boto3-"));
    await writeFile(join(folder, "sluice.yaml"), stringify({ models: simulators.models, defaultModel: "nova" }));
    await start("0");
  });
  afterAll(async () => {
    child?.kill("SIGKILL");
    await simulators?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(port: string): Promise<void> {
    const aws = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_EC2_METADATA_DISABLED: "true" };
    const env = { ...process.env, ...aws, PORT: port, SLUICE_LOG_LEVEL: "debug" };
    ({ child, url } = await startSluice(["serve"], { cwd: folder, env }));
    for (const output of [child.stdout!, child.stderr!]) output.on("data", (text) => printed.push(String(text)));
  }
  const run = (args: string[]) => runPython(python!, args, { url, simulators, home: folder });

  test("calls, streams, errors, waits and returns", () => expectSuites(run), timeoutMs);

  test(
    "a call whose service is killed while it waits gets its answer from the next one, and runs once",
    async () => {
      const send = (path: string, body: object) =>
        fetch(`${url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const blocking = { prompt: "block", environment: "UAT", model: "slow", on_unknown: "fail" };
      expect((await send("/v1/jobs", blocking)).status).toBe(200);
      const prompt = "survive";
      const answered = run([program("bedrock_once.py"), prompt]);
      const waiting = async () => {
        const { data } = (await (await fetch(`${url}/v1/jobs?status=queued`)).json()) as { data: unknown[] };
        return data.length;
      };
      await vi.waitFor(async () => expect(await waiting()).toBe(1), { timeout: 20_000, interval: 50 });
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      await start(new URL(url).port);
      expect((await answered).stdout).toContain("synthetic");
      expect(simulators.slow.calls.filter((call) => call.prompt === prompt)).toHaveLength(1);
    },
    timeoutMs,
  );

  test(
    "the first program of docs/bedrock.md runs as written, with the page's variables",
    async () => {
      const page = readFileSync(resolve(import.meta.dirname, "../../docs/bedrock.md"), "utf8");
      const [, variables] = /^```sh\n(.*?)^```$/ms.exec(page)!;
      const [, code] = /^```python\n(.*?)^```$/ms.exec(page)!;
      const script = `${variables!.replace("http://127.0.0.1:8000", url)}exec "$PYTHON" -c "$PROGRAM"`;
      const env = {
        PATH: process.env.PATH,
        HOME: folder,
        PYTHON: python!,
        PROGRAM: code!.replace("us.amazon.nova-2-lite-v1:0", nova),
        SLUICE_API_KEY: secrets.AWS_SESSION_TOKEN,
      };
      const { stdout } = await promisify(execFile)("sh", ["-c", script], { env, timeout: timeoutMs });
      expect(stdout).toContain("synthetic");
    },
    timeoutMs,
  );

  test("neither a session token nor an access key is in the log or on disk", async () => {
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    const texts = files
      .filter((file) => file.isFile())
      .map((file) => readFile(join(file.parentPath, file.name), "latin1"));
    const all = [...(await Promise.all(texts)), ...printed].join("\n");
    // The texts of the prompts are there, so the files were read.
    expect(all).toContain("Why is the sky blue?");
    for (const secret of Object.values(secrets)) expect(all).not.toContain(secret);
  });
});
