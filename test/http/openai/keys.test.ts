// API keys at OpenAI's doors: whose jobs are seen, what a key decides, and how a refusal looks to OpenAI's client.
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "../server-under-test.ts";
import { clientOf, urlOf } from "./client.ts";

let server: ServerUnderTest;
let anna: OpenAI;
let ben: OpenAI;
let stranger: OpenAI;
beforeAll(async () => {
  server = await startServerUnderTest();
  const url = await urlOf(server.app);
  const { body: admin } = await server.post("/v1/keys", { name: "admin", admin: true });
  const keyOf = async (fields: object) => (await server.as(admin.key).post("/v1/keys", fields)).body.key as string;
  anna = clientOf(url, { apiKey: await keyOf({ name: "anna", environments: ["PROD"], priority_max: "standard" }) });
  ben = clientOf(url, { apiKey: await keyOf({ name: "ben" }) });
  stranger = clientOf(url, { apiKey: "sk-wrong" });
});
afterAll(async () => {
  server.app.server.closeAllConnections();
  await server.close();
});

const ask = { model: "llama3-3-70b", input: "Why?", background: true };
const chat = { model: "llama3-3-70b", messages: [{ role: "user" as const, content: "Why?" }] };

test("who has no key is refused with OpenAI's own class", async () => {
  await expect(stranger.chat.completions.create(chat)).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  await expect(stranger.responses.create(ask)).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  const error = await stranger.models.list().catch((e) => e);
  expect(error).toMatchObject({ status: 401, type: "authentication_error", code: "unauthenticated" });
});

test("another tenant's job is not there", async () => {
  const { id } = await anna.responses.create(ask);
  expect((await anna.responses.retrieve(id)).id).toBe(id);
  for (const look of [
    () => ben.responses.retrieve(id),
    () => ben.responses.cancel(id),
    () => ben.responses.delete(id),
  ]) {
    await expect(look()).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  }
  const jobId = id.replace(/^resp_(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  const events = await server.as(ben.apiKey!).get(`/v1/jobs/${jobId}/events`);
  expect([events.status, events.body.error.code]).toEqual([404, "job_not_found"]);
  expect((await anna.responses.retrieve(id)).status).toBe("queued");
});

test("a key decides environment and priority where the call does not, and refuses what it does not allow", async () => {
  const jobs: { environment: string; priority: string; tenant: string }[] = [];
  server.context.events.publishAccepted = (accepted) => {
    jobs.push(...accepted);
    for (const { id } of accepted) void server.context.end(id, { status: "completed", text: "Rayleigh." });
  };
  await anna.chat.completions.create(chat);
  await ben.chat.completions.create(chat);
  expect(jobs).toMatchObject([
    { environment: "PROD", priority: "standard", tenant: "anna" },
    { environment: "UAT", priority: "interactive", tenant: "ben" },
  ]);
  for (const more of [{ environment: "UAT" }, { priority: "interactive" as const }]) {
    const error = await anna.chat.completions.create({ ...chat, ...more }).catch((e) => e);
    expect(error).toBeInstanceOf(OpenAI.PermissionDeniedError);
    expect(error).toMatchObject({ code: "forbidden", param: Object.keys(more)[0] });
  }
  expect(jobs).toHaveLength(2);
});
