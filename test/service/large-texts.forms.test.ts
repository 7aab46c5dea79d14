// A request and an answer of 20 MB through the whole service: accepted, called, stored, read, erased and removed.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { FileSettings } from "../../src/config/config-schema.ts";
import { isNative } from "../../src/domain/request.ts";
import type { Provider } from "../../src/providers/provider.ts";
import { startTestService, type TestService } from "../batches/support.ts";
import { describeForm } from "../support/forms.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const megabytes = 1_000_000;
/** No two lines are the same, so that a part that is lost or moved shows. */
function long(bytes: number): string {
  const line = (n: number) => `${String(n).padStart(9, "0")} ü \u00fc sluices `;
  return Array.from({ length: bytes / Buffer.byteLength(line(0)) }, (_, n) => line(n)).join("");
}
/** As long as an image, which counts no tokens of text. The spaces and the digits must stay. */
const body = `{ "image": "${long(20 * megabytes)}", "max_tokens": 1.0 }`;

const models: FileSettings["models"] = {
  "llama3-3-70b": {
    contextTokens: 50_000_000,
    deployments: [
      {
        region: "us-east-1",
        modelId: "us.meta.llama3-3-70b-instruct-v1:0",
        quotas: [{ unit: "requests", per: "minute", limit: 1_000_000, burst: 1_000_000 }],
      },
    ],
  },
};

let seen = "";
/** Answers with what it was asked. */
const provider: Provider = {
  async call({ request }) {
    seen = isNative(request) ? request.native.body : "";
    const usage = { input: 10, output: 5 };
    return { text: "short", toolCalls: [], finishReason: "stop", usage, native: { body: `[${seen}]` } };
  },
  async close() {},
};

describeForm((form) => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService(form, { provider, file: { models } });
  });
  afterAll(() => service?.close());

  const call = async (method: string, path: string, body?: string) => {
    const sent = body !== undefined && { body, headers: { "content-type": "application/json" } };
    return fetch(service.url + path, { method, ...sent });
  };
  const ended = async (id: string) => {
    const response = await call("GET", `/v1/jobs/${id}?wait=30`);
    return (await response.json()) as Record<string, unknown>;
  };
  const bytes = async () => {
    const answer = (await (await call("GET", "/v1/retention")).json()) as { store_bytes: number };
    return answer.store_bytes;
  };

  test("20 MB reach the provider and come back as they were, and a removed job leaves nothing", async () => {
    const before = await bytes();
    const job = `{"environment": "UAT", "native": {"operation": "invoke", "body": ${body}}}`;
    const headers = { "content-type": "application/json", "idempotency-key": `large-${form}` };
    const submit = async () => {
      const accepted = await fetch(`${service.url}/v1/jobs`, { method: "POST", headers, body: job });
      return ((await accepted.json()) as { job_id: string }).job_id;
    };
    const id = await submit();
    expect(await submit()).toBe(id);
    expect(await ended(id)).toMatchObject({ status: "completed", text: "short" });
    expect(seen === body).toBe(true);
    await service.restart();
    const request = await (await call("GET", `/v1/jobs/${id}/request`)).text();
    expect(request).toContain(body);
    const { native, ...rest } = await ended(id);
    expect(rest).toMatchObject({ status: "completed", text: "short", erased: false });
    expect((native as { body: string }).body === `[${body}]`).toBe(true);
    if (form === "embedded") expect(await bytes()).toBeGreaterThan(before + 39 * megabytes);
    expect((await call("DELETE", `/v1/jobs/${id}`)).status).toBe(200);
    expect((await call("GET", `/v1/jobs/${id}`)).status).toBe(404);
    if (form === "embedded") expect(await bytes()).toBeLessThan(before + 5 * megabytes);
  });

  test("bodies over the limits are refused with the setting, and the next request is answered", async () => {
    const tooLong = JSON.stringify({ prompt: "x".repeat(27 * megabytes) });
    const refused = await call("POST", "/v1/jobs", tooLong);
    expect(refused.status).toBe(413);
    expect(await refused.json()).toMatchObject({ error: { code: "too_large", field: "body" } });
    expect((await call("GET", "/healthz")).status).toBe(200);
  });
});
