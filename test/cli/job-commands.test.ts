// sluice jobs, job, export, status and the bulk commands against a running service, and what a user on another machine sees.

import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Job, SluiceClient } from "../../src/client/index.ts";
import { canonicalPart } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { shouting, startTestService, type TestService } from "../batches/support.ts";
import { sluice as runSluice } from "./run-inside.ts";
import { answering, closedAddress } from "./support.ts";

const provider: Provider = {
  async call(call) {
    const [block] = canonicalPart(call.request).messages[0]!.content;
    const prompt = block?.type === "text" ? block.text : "";
    if (prompt === "never") return new Promise((_, reject) => call.signal.addEventListener("abort", reject));
    return shouting.call(call);
  },
  async close() {},
};

const folder = mkdtempSync(join(tmpdir(), "sluice-job-commands-"));
let service: TestService;
let client: SluiceClient;
let done: Job;
let stuck: Job;
beforeAll(async () => {
  service = await startTestService("embedded", { provider, file: { worker: { drainMs: 100 } } });
  client = new SluiceClient({ baseUrl: service.url });
  const text = "=cmd, \u001b[31m";
  const { job_id } = await client.submit({ prompt: text, environment: "PROD", metadata: { note: "=1+1\u0007" } });
  done = await client.wait(job_id);
  stuck = await client.submit({ prompt: "never", environment: "UAT", priority: "batch" });
});
afterAll(async () => {
  await service.close();
  rmSync(folder, { recursive: true, force: true });
});

const sluice = (...args: string[]) => runSluice(args, { SLUICE_URL: service.url });
const cells = (line: string) => line.split(/ {2,}/);

test("jobs lists as a table or as JSON, with the filters of the API", async () => {
  const all = await sluice("jobs");
  expect(all).toMatchObject({ code: 0, stderr: "" });
  const [head, ...rows] = all.stdout.trimEnd().split("\n").map(cells);
  expect(head).toEqual(["job", "status", "env", "age", "tenant", "model"]);
  expect(rows.map(([id]) => id)).toEqual([stuck.job_id, done.job_id]);
  expect(rows[1]!.slice(1, 3)).toEqual(["completed", "PROD"]);

  const some = await sluice(
    "jobs",
    "--environment",
    "PROD",
    "--status",
    "completed",
    "--submitted-after",
    "1h",
    "--json",
  );
  expect(JSON.parse(some.stdout)).toMatchObject({ job_id: done.job_id, metadata: { note: "=1+1\u0007" } });
  expect(await sluice("jobs", "--metadata", "note=other")).toMatchObject({ stdout: "", stderr: "No job matches.\n" });
  expect((await sluice("jobs", "--limit", "1")).stderr).toMatch(/^There are more jobs than these; --limit lists more/);
});

test("job show and status print the job; control characters of others never reach a terminal's fields", async () => {
  const shown = await sluice("job", "show", done.job_id);
  expect(shown.stdout).toMatch(new RegExp(`^job +${done.job_id}$`, "m"));
  expect(shown.stdout).toMatch(/^labels +note==1\+1\?$/m);
  expect(shown.stdout).toMatch(/^tokens +10 input, 5 output$/m);
  expect(shown.stdout).toMatch(/^attempt +started +took +result +reserved +used +deployment/m);
  const { input, output } = done.attempts[0]!.tokens_reserved;
  expect(output).toBe(512);
  expect(shown.stdout).toMatch(new RegExp(` completed +${input} \\+ 512 +10 \\+ 5 +`, "m"));
  // The answer itself is unchanged in a pipe.
  expect(shown.stdout.endsWith("\n\n=CMD, \u001b[31M\n")).toBe(true);
  expect((await sluice("status", done.job_id)).stdout).toBe(shown.stdout);
  expect(await sluice("job", "show", done.job_id, "--wait")).toMatchObject({ code: 0, stdout: "=CMD, \u001b[31M\n" });
  expect(JSON.parse((await sluice("job", "show", done.job_id, "--json")).stdout)).toEqual(done);
});

test("job show lists what the job waited for", async () => {
  const waited = [
    { kind: "quota", subject: "llama:requests/minute", ms: 123_400 },
    { kind: "out_of_service", subject: "bedrock/a", ms: 2_000 },
    { kind: "turn", subject: null, ms: 10 },
  ];
  const attempts = [{ ...done.attempts[0]!, waited_ms: 125_410, waited }];
  const { url } = await answering([{ body: { ...done, attempts } }]);
  const { stdout } = await runSluice(["job", "show", done.job_id], { SLUICE_URL: url });
  const lines = stdout.split("\n").map(cells);
  const from = lines.findIndex(([, title]) => title === "waited");
  expect(lines.slice(from, from + 4)).toEqual([
    ["attempt", "waited", "for"],
    ["", "1", "2 min 3 s", "quota: llama:requests/minute"],
    ["", "1", "2 s", "out of service: bedrock/a"],
    [""],
  ]);
});

test("export writes JSON lines and CSV, with answers if asked, into a private file", async () => {
  const lines = await sluice("export", "--environment", "PROD");
  expect(JSON.parse(lines.stdout)).toMatchObject({ job_id: done.job_id });
  expect(lines.stderr).toBe("Exported 1 job.\n");

  const output = join(folder, "jobs.csv");
  const csv = await sluice("export", "--environment", "PROD", "--answers", "--output", output);
  expect(csv).toMatchObject({ code: 0, stdout: "", stderr: `Exported 1 job to ${output}.\n` });
  expect(statSync(output).mode & 0o777).toBe(0o600);
  const [head, row] = readFileSync(output, "utf8").split("\r\n");
  expect(head).toMatch(/^job_id,status,environment,.*,metadata,text,finish_reason,input_tokens/);
  expect(row).toMatch(new RegExp(`^${done.job_id},completed,PROD,default,llama3-3-70b,standard,,,`));
  expect(row).toContain(`,"'=CMD, \u001b[31M",stop,10,5,`);
  expect((await sluice("export", "--json", "--format", "csv")).code).toBe(2);
});

test("cancel and retry: one job, and every job that matches", async () => {
  const dry = await sluice("cancel", "--environment", "UAT", "--dry-run");
  expect(dry.stdout).toBe("1 job would be cancelled.\n");
  expect((await sluice("job", "cancel", stuck.job_id)).stdout).toBe(`${stuck.job_id} is cancelled.\n`);
  const retried = await sluice("job", "retry", stuck.job_id);
  const retry = /^(\S+) is (?:queued|in_progress)\. It is the retry of /.exec(retried.stdout)![1]!;
  expect((await sluice("cancel", "--environment", "UAT", "--status", "queued")).code).toBe(0);
  await client.cancel(retry);
  expect((await sluice("cancel", retry)).stdout).toBe(`${retry} is cancelled.\n`);
  expect((await sluice("retry", "--environment", "PROD")).stdout).toBe("0 jobs of 0 submitted again.\n");
  expect((await sluice("cancel")).stderr).toMatch(/^Name either a job or at least one filter/);
});

test("status without a job shows the service", async () => {
  const { code, stdout, stderr } = await sluice("status");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(`Sluice at ${service.url} is ready.\n`);
  const lines = stdout.split("\n").map(cells);
  expect(lines).toContainEqual(["PROD", "0", "0", "1", "0", "0", "0"]);
  expect(lines).toContainEqual(["quota", "settled", "reserved", "limit", "configured", "use"]);
  expect(lines).toContainEqual([done.deployment, "in service", expect.stringMatching(/^\d\/\d+$/)]);
  const state = JSON.parse((await sluice("status", "--json")).stdout);
  expect(state).toMatchObject({ readiness: { status: "ok" }, stats: { jobs: { PROD: { completed: 1 } } } });
});

test("top prints one snapshot where the output is no terminal", async () => {
  const { code, stdout, stderr } = await sluice("top", "--json");
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { throughput, quotas, stats } = JSON.parse(stdout);
  expect(throughput).toEqual({ completed: expect.any(Number), failed: expect.any(Number) });
  expect(stats.jobs.PROD.completed).toBe(1);
  expect(quotas[0]).toMatchObject({ name: `${done.deployment}:requests/minute` });
});

test("status of a service whose store is unreachable shows what there is, and exits with 1", async () => {
  const error = { error: { code: "unavailable", message: "Not ready: the store does not answer." } };
  const half = await answering([1, 2, 3].map(() => ({ status: 503, body: error })));
  const { code, stdout, stderr } = await runSluice(["status"], { SLUICE_URL: half.url });
  expect({ code, stdout }).toEqual({
    code: 1,
    stdout: `Sluice at ${half.url} is not ready: the store does not answer.\n`,
  });
  expect(stderr).toMatch(/^Job counts are missing: .*\nQuotas and deployments are missing: .*\n$/);
});

test("on another machine, SLUICE_URL and SLUICE_API_KEY are all that is needed, and errors say what to set", async () => {
  const secured = await startTestService("embedded");
  try {
    const at = (key?: string) => ({ SLUICE_URL: secured.url, ...(key !== undefined && { SLUICE_API_KEY: key }) });
    const { stdout } = await runSluice(["keys", "create", "--name", "admin", "--admin"], at());
    const admin = stdout.trim();
    const user = (await runSluice(["keys", "create", "--name", "user"], at(admin))).stdout.trim();
    for (const args of [
      ["jobs"],
      ["status"],
      ["batch", "list"],
      ["usage"],
      ["export"],
      ["enqueue", "p", "--environment", "UAT"],
    ]) {
      const none = await runSluice(args, at());
      expect(none, args.join(" ")).toMatchObject({ code: 1, stdout: "" });
      expect(none.stderr).toMatch(
        /^unauthenticated: .*\nSet SLUICE_API_KEY to an API key of this service; .*keys create/,
      );
      expect(await runSluice(args, at(user)), args.join(" ")).toMatchObject({ code: 0 });
    }
    const wrong = `${admin.slice(0, -3)}aaaa`;
    const refused = await runSluice(["jobs"], at(wrong));
    expect(refused.stderr).toMatch(
      /\nSet SLUICE_API_KEY to a key that this service knows; the service refused the one that is set\.\n$/,
    );
    expect(refused.stderr).not.toContain(wrong.slice(-20));
    // Counts cover all tenants.
    expect((await runSluice(["status"], at(user))).stderr).toMatch(
      /^Job counts are missing: the API key is not an admin key\.$/m,
    );
  } finally {
    await secured.close();
  }
});

test("a service that cannot be reached: which variable to set", async () => {
  const closed = await closedAddress();
  const refused = await runSluice(["jobs"], { SLUICE_URL: closed });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toBe(
    `The service is not running at ${closed}: the connection was refused. Check the address in SLUICE_URL or --url. ` +
      "To start it on this machine: `sluice serve`.\n",
  );
  const other = await answering([{ status: 404, body: "<html>" }]);
  expect((await runSluice(["batch", "list"], { SLUICE_URL: other.url })).stderr).toMatch(
    /answered 404, but not as Sluice does\. Set SLUICE_URL \(or --url\)/,
  );
  expect((await runSluice(["jobs"], { SLUICE_URL: "http://no-such-host.invalid" })).stderr).toMatch(
    /cannot be reached: E\w+\. Check the address in SLUICE_URL or --url\.\n$/,
  );
});
