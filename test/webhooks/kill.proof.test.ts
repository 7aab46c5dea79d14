// Webhooks of a service that is killed between the outcome of a job and the delivery.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, describe, expect, test, vi } from "vitest";
import { startSluice } from "../support/sluice-process.ts";
import { callJson, startReceiver } from "./receiver.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

describe("killed", () => {
  let folder: string;
  let child: ChildProcess | undefined;
  afterAll(async () => {
    child?.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<string> {
    const env = { ...process.env, PORT: "0", SLUICE_PROVIDER: "simulator" };
    const started = await startSluice(["serve"], { cwd: folder, env });
    child = started.child;
    return started.url;
  }

  test("between the outcome and the delivery: the next process delivers", async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-webhook-kill-"));
    await writeFile(join(folder, "sluice.yaml"), "webhooks: { allowPrivateNetworks: [127.0.0.1] }\n");
    let open = false;
    const receiver = await startReceiver((response) => response.writeHead(open ? 200 : 500).end());
    const url = await start();
    const jobs: string[] = [];
    for (const prompt of ["a", "b"]) {
      const { job_id } = await callJson(url, "/enqueue", { prompt, environment: "PROD", webhook_url: receiver.url });
      jobs.push(job_id);
    }
    const states = () => Promise.all(jobs.map(async (id) => (await callJson(url, `/status/${id}`)).status));
    await vi.waitFor(async () => expect(await states()).toEqual(["completed", "completed"]), {
      timeout: 30_000,
      interval: 2,
    });
    const gone = once(child!, "exit");
    child!.kill("SIGKILL");
    await gone;
    open = true;

    const next = await start();
    const statuses = () =>
      Promise.all(jobs.map(async (id) => (await callJson(next, `/v1/webhooks/deliveries/msg_${id}`)).status));
    await vi.waitFor(async () => expect(await statuses()).toEqual(["delivered", "delivered"]), {
      timeout: 60_000,
      interval: 100,
    });
    const { secret } = await callJson(next, "/v1/webhooks/secret");
    const last = receiver.received.slice(-2).map(({ body, headers }) => new Webhook(secret).verify(body, headers));
    expect(new Set(last.map((event) => (event as { data: { job_id: string } }).data.job_id))).toEqual(new Set(jobs));
  });
});
