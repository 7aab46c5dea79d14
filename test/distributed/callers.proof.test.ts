// Synchronous calls whose API process is killed while the workers live on: nothing is called for callers that are gone, and a
// caller that comes back to another process gets its one answer.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { Cluster, until } from "./cluster.ts";

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

describe.skipIf(withoutRedis() || withoutMongo())("synchronous calls of several processes", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
    await Promise.all([cluster.startApi(), cluster.startApi(), cluster.startWorker(), cluster.startWorker()]);
  });
  afterAll(() => cluster?.stop());

  const json = { "content-type": "application/json" };
  const post = (url: string, body: object) => fetch(url, { method: "POST", headers: json, body: JSON.stringify(body) });

  function ask(api: { url: string }, prompt: string, headers: Record<string, string> = {}): Promise<Response> {
    const body = { model: "quick", max_tokens: 50, stream: true, messages: [{ role: "user", content: prompt }] };
    return fetch(`${api.url}/v1/chat/completions`, {
      method: "POST",
      headers: { ...json, ...headers },
      body: JSON.stringify(body),
    });
  }

  test("A3: the API process is killed, its workers live on", async () => {
    const [victim, survivor] = cluster.apis;
    await post(`${survivor!.url}/v1/pause`, { model: "quick" });
    const key = (name: string) => ({ "idempotency-key": name });
    const answers = await Promise.all([
      ask(victim!, "gone"),
      ask(victim!, "back", key("back")),
      ask(victim!, "lost", key("lost")),
      ask(victim!, "kept", { "x-sluice-keep": "true" }),
    ]);
    const [gone, back, lost, kept] = answers.map((answer) => answer.headers.get("x-sluice-job-id")!);
    for (const answer of answers) answer.text().catch(() => {});
    await cluster.kill(victim!);

    const stateOf = async (jobId: string) => (await cluster.store.get(jobId))?.state;
    await until(async () => (await stateOf(gone!)) === "cancelled");
    expect(await stateOf(back!)).toBe("queued");
    await post(`${survivor!.url}/v1/resume`, { model: "quick" });
    await until(async () => (await stateOf(kept!)) === "completed");
    expect(cluster.calls.map((call) => call.prompt)).toEqual(["kept"]);

    const again = await ask(survivor!, "back", key("back"));
    expect(again.headers.get("x-sluice-job-id")).toBe(back);
    expect(await again.text()).toContain("data: [DONE]");
    await until(async () => (await stateOf(lost!)) === "cancelled");
    expect(cluster.calls.map((call) => call.prompt).sort()).toEqual(["back", "kept"]);
  });
});
