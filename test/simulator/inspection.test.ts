// The journal and the quotas over HTTP, for tests in another process.
import { ConverseCommand } from "@aws-sdk/client-bedrock-runtime";
import { expect, test } from "vitest";
import { ask, llama, manualClock, simulate } from "./support.ts";

const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test("the journal equals that of the object, from any call on", async () => {
  const clock = manualClock(1_000);
  const { simulator, client } = await simulate({ clock, requestsPerMinute: 2 });
  for (const prompt of ["a", "b", "c"]) await client.send(new ConverseCommand(ask(prompt))).catch(() => {});
  const whole = await get(`${simulator.url}/__simulator/journal`);
  expect(whole).toEqual({
    status: 200,
    body: { now: 1_000, wall: 1_000, total: 3, calls: JSON.parse(JSON.stringify(simulator.calls)) },
  });
  const page = await get(`${simulator.url}/__simulator/journal?after=1&limit=1`);
  expect(page.body.calls).toMatchObject([
    { n: 2, prompt: "b", arrivedAt: 1_000, outcome: "answered", modelId: llama, region: "us-east-1" },
  ]);
  expect(simulator.calls[2]).toMatchObject({ outcome: "throttled", quota: "requests" });
});

test("the quotas equal those of the object", async () => {
  const { simulator, client } = await simulate({ clock: manualClock(), tokensPerDay: 10_000, requestsPerMinute: 2 });
  await client.send(new ConverseCommand(ask("a")));
  expect((await get(`${simulator.url}/__simulator/quotas`)).body).toEqual({
    now: 0,
    wall: 0,
    deployments: JSON.parse(JSON.stringify(simulator.quotas())),
    days: JSON.parse(JSON.stringify(simulator.dailyQuotas())),
  });
  expect(simulator.dailyQuotas()).toHaveLength(1);
});

test("a parameter that is no number is a 400, and another page a 404", async () => {
  const { simulator } = await simulate();
  const wrong = await get(`${simulator.url}/__simulator/journal?after=x`);
  expect(wrong).toEqual({ status: 400, body: { message: 'after must be a whole number; got "x".' } });
  expect((await get(`${simulator.url}/__simulator/other`)).status).toBe(404);
});
