// Structured output and tool loops through the Python clients that people use, against the compiled service with the built-in
// simulator. Each client has a program of unittest in test/python. structured-output-clients.test.ts has the Node clients.
import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { stringify } from "yaml";
import { defaultModel, defaultModels } from "../../src/config/defaults.ts";
import { startSluice } from "../support/sluice-process.ts";

const python = inject("python");
/** Generous: importing a client may take seconds on a busy machine. */
const programTimeoutMs = 120_000;
/** The default models have no mode for schemas. This one does. */
const claude = {
  maxOutputTokens: 2048,
  deployments: [{ region: "us-east-1", modelId: "us.anthropic.claude-haiku-4-5-20251001-v1:0", maxConcurrency: 50 }],
};

describe.skipIf(python === null)("F12: Python", () => {
  let folder: string;
  let child: ChildProcess;
  let url: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-python-"));
    const models = { ...defaultModels, "claude-haiku-4-5": claude };
    await writeFile(join(folder, "sluice.yaml"), stringify({ models, defaultModel }));
    const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn", SLUICE_PROVIDER: "simulator" };
    ({ child, url } = await startSluice(["serve"], { cwd: folder, env }));
  });
  afterAll(async () => {
    const ended = child && once(child, "exit");
    child?.kill("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  /** @throws Error with everything that the program printed, if it fails */
  function runPython(args: string[]): Promise<{ stdout: string; stderr: string }> {
    const env = {
      PATH: process.env.PATH,
      HOME: folder,
      PYTHONDONTWRITEBYTECODE: "1",
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: "none",
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "none",
    };
    return promisify(execFile)(python!, args, { env, timeout: programTimeoutMs });
  }

  test.each([
    ["OpenAI's SDK", "openai_sdk.py", 11],
    ["LangChain's ChatOpenAI", "langchain_chat.py", 8],
    ["instructor", "instructor_client.py", 4],
    ["pydantic-ai", "pydantic_ai_agent.py", 5],
    ["Anthropic's SDK", "anthropic_sdk.py", 9],
  ])(
    "%s: chats, tool loops and answers in the form of a schema",
    async (_, file, count) => {
      const { stderr } = await runPython([resolve(import.meta.dirname, "../python", file)]);
      expect(stderr).toMatch(new RegExp(`^Ran ${count} tests in .*\n\nOK$`, "m"));
    },
    programTimeoutMs,
  );

  test(
    "the first program of docs/anthropic.md runs as written",
    async () => {
      const page = readFileSync(resolve(import.meta.dirname, "../../docs/anthropic.md"), "utf8");
      const [, program] = /^```python\n(.*?)^```$/ms.exec(page)!;
      const { stdout } = await runPython(["-c", program!.replace("claude-sonnet-4-5", "claude-haiku-4-5")]);
      expect(stdout).toMatch(/^\[synthetic answer .* blue/);
    },
    programTimeoutMs,
  );

  test(
    "the quick starts of docs/openai.md run as written",
    async () => {
      const page = readFileSync(resolve(import.meta.dirname, "../../docs/openai.md"), "utf8");
      const programs = [...page.matchAll(/^```python\n(.*?)^```$/gms)].map((match) => match[1]!);
      const printed = programs.map(async (program) => {
        const { stdout } = await runPython(["-c", program.replace("http://127.0.0.1:8000", url)]);
        return stdout;
      });
      expect(await Promise.all(printed)).toEqual([
        expect.stringMatching(/^\[synthetic answer .* blue/),
        expect.stringMatching(/21 degrees in synthetic city/),
        expect.stringMatching(/^city='synthetic city \d+' days=\d+ season='(spring|autumn)'$/m),
      ]);
    },
    programTimeoutMs,
  );
});
