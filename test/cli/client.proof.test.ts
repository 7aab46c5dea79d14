// sluice enqueue and sluice status: what they ask of a service, what they print, and how they exit.
import { spawnSync } from "node:child_process";
import { expect, test, vi } from "vitest";
import { sluiceMain } from "../support/sluice-process.ts";
import { answering, closedAddress, run } from "./support.ts";

// Every command is a process of its own, and they share the machine with the other tests.
vi.setConfig({ testTimeout: 120_000 });

const jobId = "019ab2c4-5d6e-7f80-9123-456789abcdef";
const accepted = { body: { success: true, job_id: jobId, message: "Prompt added to queue." } };
const job = { job_id: jobId, status: "queued", model: "m", position: 4, eta: null, text: null, error: null };
const completed = { ...job, status: "completed", position: null, text: "Because of Rayleigh scattering." };

test("enqueue sends the prompt and prints the job's id, nothing else", async () => {
  const service = await answering([accepted]);
  const result = await run(["enqueue", "Why is the sky blue?", "--environment", "UAT", "--url", service.url]);

  expect(result).toMatchObject({ code: 0, stdout: `${jobId}\n`, stderr: "" });
  expect(service.asked).toEqual([
    { method: "POST", url: "/enqueue", body: { prompt: "Why is the sky blue?", environment: "UAT" } },
  ]);
});

test("enqueue - reads the prompt from standard input; every option becomes its field; SLUICE_URL names the service", async () => {
  const service = await answering([accepted]);
  const options =
    "--environment PROD --model m --max-tokens 100 --temperature 0.5 --system s --priority batch --expires-in 60";
  const result = await run(["enqueue", "-", ...options.split(" "), "--json"], {
    input: "line 1\nline 2\n",
    env: { SLUICE_URL: `${service.url}/` },
  });

  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toEqual(accepted.body);
  expect(service.asked[0]!.body).toEqual({
    prompt: "line 1\nline 2\n",
    environment: "PROD",
    model: "m",
    max_tokens: 100,
    temperature: 0.5,
    system: "s",
    priority: "batch",
    expires_in: 60,
  });
});

test("enqueue --wait asks until the job has ended and prints the answer alone on standard output", async () => {
  const service = await answering([accepted, { body: job }, { body: completed }]);
  const result = await run(["enqueue", "p", "--environment", "UAT", "--wait", "--url", service.url]);

  expect(result).toMatchObject({ code: 0, stdout: "Because of Rayleigh scattering.\n" });
  expect(result.stderr).toContain(jobId);
  expect(service.asked.slice(1).map((e) => e.url)).toEqual([`/v1/jobs/${jobId}`, `/v1/jobs/${jobId}?wait=5`]);
});

test("D3: an answer without text is printed as its calls of tools, not as null", async () => {
  const calls = [{ id: "c1", name: "clock", arguments: "{}" }];
  const service = await answering([{ body: { ...completed, text: null, tool_calls: calls } }]);
  const result = await run(["status", jobId, "--wait", "--url", service.url]);
  expect(result).toMatchObject({ code: 0, stdout: `${JSON.stringify(calls)}\n` });
});

test("point 10: enqueue --wait prints position, reason and expected start, and says so again when it changes", async () => {
  const waiting = (position: number, message: string, eta: string | null) => ({
    body: {
      ...job,
      position,
      eta,
      waiting_on: { kind: "quota", deployment: null, quota: null, reason: null, message },
    },
  });
  const service = await answering([
    accepted,
    waiting(3, "Other jobs are ahead of it in the queue.", "2030-01-01T00:00:40Z"),
    waiting(3, "Other jobs are ahead of it in the queue.", "2030-01-01T00:00:41Z"),
    waiting(1, "The model m has been paused since 2030-01-01T00:00:00.000Z: maintenance.", null),
    { body: { ...job, status: "in_progress", position: null, attempts: [{ deployment: "bedrock/us-east-1/m" }] } },
    { body: completed },
  ]);
  const result = await run(["enqueue", "p", "--environment", "UAT", "--wait", "--url", service.url]);
  expect(result).toMatchObject({ code: 0, stdout: "Because of Rayleigh scattering.\n" });
  expect(result.stderr.split("\n")).toEqual([
    `Job ${jobId} is accepted; waiting for its answer.`,
    "Queued at position 3. Other jobs are ahead of it in the queue. Expected start: 2030-01-01T00:00:40Z.",
    "Queued at position 1. The model m has been paused since 2030-01-01T00:00:00.000Z: maintenance.",
    "Running on bedrock/us-east-1/m.",
    "",
  ]);
});

test("enqueue --dry-run submits nothing and prints what would become of the job", async () => {
  const body = { dry_run: true, tokens: { input: 9 }, cost_usd: null, expected_start: "2030-01-01T00:00:00.000Z" };
  const service = await answering([{ body }]);
  const result = await run(["enqueue", "p", "--environment", "UAT", "--dry-run", "--url", service.url]);
  const fields = ["dry_run         true", 'tokens          {"input":9}', `expected_start  ${body.expected_start}`];
  expect(result).toMatchObject({ code: 0, stdout: `${fields.join("\n")}\n`, stderr: "" });
  expect(service.asked).toEqual([
    { method: "POST", url: "/v1/jobs", body: { prompt: "p", environment: "UAT", dry_run: true } },
  ]);
});

test("status prints what is known about the job, then its answer", async () => {
  const service = await answering([{ body: completed }]);
  const result = await run(["status", jobId, "--url", service.url]);

  expect(result.code).toBe(0);
  expect(result.stdout).toBe(`job     ${jobId}\nstatus  completed\nmodel   m\n\nBecause of Rayleigh scattering.\n`);
  expect(service.asked).toEqual([{ method: "GET", url: `/v1/jobs/${jobId}`, body: undefined }]);
});

test("status --wait exits 3 if the job ended without an answer, and says why and what to do", async () => {
  const failed = { ...job, status: "failed", error: { code: "expired", message: "The deadline passed." } };
  const service = await answering([{ body: failed }, { body: failed }]);

  const result = await run(["status", jobId, "--wait", "--url", service.url]);
  expect(result).toMatchObject({ code: 3, stdout: "" });
  expect(result.stderr).toBe(
    `Job ${jobId} is failed. expired: The deadline passed.\n` +
      "The deadline passed before the job completed; allow more time with expires_in.\n",
  );

  const json = await run(["status", jobId, "--wait", "--json", "--url", service.url]);
  expect(json.code).toBe(3);
  expect(JSON.parse(json.stdout)).toEqual(failed);
});

test("a refusal of the service is printed with its code and advice, and exits 1", async () => {
  const error = { code: "unknown_environment", message: "There is no environment DEV." };
  const service = await answering([{ status: 400, body: { success: false, error } }]);
  const result = await run(["enqueue", "p", "--environment", "DEV", "--url", service.url]);

  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toBe(
    "unknown_environment: There is no environment DEV.\nUse an environment that the configuration defines.\n",
  );
});

test("another program at that address is recognised as such", async () => {
  const service = await answering([{ status: 404, body: "<html>" }, { body: "<html>" }]);
  for (const status of [404, 200]) {
    const result = await run(["status", jobId, "--url", service.url]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toContain(`${service.url} answered ${status}, but not as Sluice does`);
  }
});

test("a reader that stops before the end is no error", () => {
  const command = `'${process.execPath}' '${sluiceMain}' --help | true; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: "0\n", stderr: "" });
});

test("a service that is not running: how to start it", async () => {
  const url = await closedAddress();
  const result = await run(["status", jobId, "--url", url]);
  expect(result).toMatchObject({ code: 1, stdout: "" });
  expect(result.stderr).toBe(
    `The service is not running at ${url}: the connection was refused. Check the address in SLUICE_URL or --url. ` +
      "To start it on this machine: `sluice serve`.\n",
  );
});

test.each([
  [["enqueue", "p"], "required option '--environment <name>' not specified"],
  [["enqueue", "p", "--environment", "UAT", "--max-tokens", "1.5"], "Allowed: a whole number from 1 to 1000000000."],
  [["enqueue", "p", "--environment", "UAT", "--dry-run", "--wait"], "cannot be used with option '--wait'"],
  [["enqueue", "p", "--environment", "UAT", "--temperature", "3"], "Allowed: a number from 0 to 2."],
  [["enqueue", "p", "--environment", "UAT", "--priority", "high"], "Allowed choices are interactive, standard, batch."],
  [["statsu", jobId], "(Did you mean status?)"],
  [["status", "--wait"], "--wait needs the id of a job"],
  [["simulate", "--window", "round"], "Allowed choices are fixed, sliding, bucket."],
])("a wrong command line exits 2: %j", async (args, message) => {
  const result = await run(args);
  expect(result.code).toBe(2);
  expect(result.stderr).toContain(message);
});

test.each([["--help"], ["enqueue", "--help"], ["status", "--help"], ["serve", "--help"], ["simulate", "--help"]])(
  "help: %j %j",
  async (...args) => {
    const result = await run(args.filter((a) => a !== undefined));
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(result.stdout).toContain(args.length === 1 ? "Exit codes:" : "Examples:");
  },
);
