// The embedded service is frozen for longer than its leases, as by a laptop's sleep or a paused container, while calls run.
// The process is a real one, and its provider is a server in this one, which answers while nothing can read.
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { stringify } from "yaml";
import { startSluice } from "../support/sluice-process.ts";

const leaseMs = 1_000;
const frozenMs = 2_500;
const jobs = 10;
const text = "Water goes down. ".repeat(10_000);

const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 };
const whole = {
  id: "x",
  choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
  usage,
};
const pieces = [
  ...[text.slice(0, 80_000), text.slice(80_000)].map((content) => ({ choices: [{ index: 0, delta: { content } }] })),
  { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
  { choices: [], usage },
];

test.each([
  ["whole answers that arrive while it is frozen", false, true],
  ["streams that arrive while it is frozen", true, true],
  ["calls that go on when it wakes", true, false],
])("A1: %s are taken, and no call is made again", { timeout: 60_000 }, async (_, streaming, early) => {
  const waiting: ServerResponse[] = [];
  let calls = 0;
  const provider = createServer((req, res) => {
    calls++;
    req.resume();
    waiting.push(res);
  });
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  const folder = await mkdtemp(join(tmpdir(), "sluice-freeze-"));
  const baseUrl = `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`;
  const deployment = { provider: "openai", baseUrl, modelId: "m", streaming, maxConcurrency: 50 };
  await writeFile(
    join(folder, "sluice.yaml"),
    stringify({
      scheduler: { leaseMs },
      defaultModel: "m",
      models: { m: { contextTokens: 100_000, maxOutputTokens: 1_000, deployments: [deployment] } },
    }),
  );
  const env = { ...process.env, PORT: "0", SLUICE_LOG_LEVEL: "warn" };
  const { child, url } = await startSluice(["serve"], { cwd: folder, env });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    provider.closeAllConnections();
    provider.close();
    await rm(folder, { recursive: true, force: true });
  });

  const submitted = await Promise.all(
    Array.from({ length: jobs }, async (_, i) => {
      const body = { prompt: `job ${i}`, environment: "UAT", on_unknown: i % 2 === 0 ? "retry" : "fail" };
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${url}/v1/jobs`, { method: "POST", headers, body: JSON.stringify(body) });
      const answer = (await response.json()) as { job_id: string };
      expect(response.status, JSON.stringify(answer)).toBeLessThan(300);
      return answer.job_id;
    }),
  );
  while (waiting.length < jobs) await sleep(10);
  const answerAll = () => {
    for (const res of waiting) {
      if (!streaming) res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(whole));
      else {
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.end(`${pieces.map((piece) => `data: ${JSON.stringify(piece)}\n\n`).join("")}data: [DONE]\n\n`);
      }
    }
  };
  child.kill("SIGSTOP");
  if (early) answerAll();
  await sleep(frozenMs);
  child.kill("SIGCONT");
  if (!early) {
    // Several rounds of renewing leases, taking jobs and reconciling.
    await sleep(2 * leaseMs);
    answerAll();
  }

  for (const jobId of submitted) {
    const response = await fetch(`${url}/v1/jobs/${jobId}?wait=20`);
    const job = (await response.json()) as { status: string; text: string; attempts: { result: string }[] };
    expect(job).toMatchObject({ status: "completed", attempts: [{ result: "completed" }] });
    expect(job.text).toBe(text);
  }
  expect(calls).toBe(jobs);
  const used = (await (await fetch(`${url}/v1/usage?group_by=`)).json()) as { total: unknown };
  expect(used.total).toMatchObject({
    jobs,
    attempts: jobs,
    attempts_without_end: 0,
    attempts_estimated: 0,
    input_tokens: 7 * jobs,
    output_tokens: 2 * jobs,
  });
});
