// A file that is uploaded again under its Idempotency-Key is the same file.
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { describeForm } from "../support/forms.ts";
import { lineOf, startTestService, type TestService } from "./support.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

describeForm((mode) => {
  let service: TestService;
  beforeAll(async () => {
    service = await startTestService(mode);
  });
  afterAll(() => service?.close());

  const content = `${lineOf("a")}\n`;
  let keys = 0;
  const newKey = () => `file ${++keys}`;

  interface Sent {
    text?: string;
    filename?: string;
    purpose?: string;
    environment?: string;
  }
  async function send(
    key: string,
    { text = content, filename = "a.jsonl", purpose = "batch", environment }: Sent = {},
  ) {
    const body = new FormData();
    body.append("file", new Blob([text]), filename);
    body.append("purpose", purpose);
    const headers = { "idempotency-key": key, ...(environment && { "x-sluice-environment": environment }) };
    const response = await fetch(`${service.url}/v1/files`, { method: "POST", headers, body });
    return { status: response.status, body: (await response.json()) as { id: string } };
  }
  const files = async () => (await service.client.files.list()).data.length;

  test("the same bytes are the same file, also at the same time; under another key they are another one", async () => {
    const before = await files();
    const key = newKey();
    const first = await send(key);
    expect(first).toMatchObject({ status: 200, body: { filename: "a.jsonl", bytes: content.length } });
    expect(await send(key)).toEqual(first);
    expect(await files()).toBe(before + 1);

    const together = newKey();
    const answers = await Promise.all(Array.from({ length: 5 }, () => send(together)));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ status: 200 });
    expect(answers[0]!.body.id).not.toBe(first.body.id);
    expect(await files()).toBe(before + 2);
    expect(await (await service.client.files.content(first.body.id)).text()).toBe(content);
  });

  test("another file under the same key is refused with 409, and what stands stays", async () => {
    const key = newKey();
    const { body } = await send(key);
    const before = await files();
    for (const other of [
      { text: content.replace("a", "b") },
      { text: `${content}\n` },
      { filename: "b.jsonl" },
      { environment: "PROD" },
    ]) {
      expect(await send(key, other)).toMatchObject({
        status: 409,
        body: { error: { code: "idempotency_conflict", param: "Idempotency-Key" } },
      });
    }
    expect(await files()).toBe(before);
    expect(await (await service.client.files.content(body.id)).text()).toBe(content);
    // Nor is it a key for something else.
    const response = await fetch(`${service.url}/v1/jobs`, {
      method: "POST",
      headers: { "idempotency-key": key, "content-type": "application/json" },
      body: JSON.stringify({ prompt: "x", environment: "UAT" }),
    });
    expect(response.status).toBe(409);
  });

  test("an upload that was refused can be corrected under its key; a key that is none is refused", async () => {
    const key = newKey();
    expect(await send(key, { purpose: "assistants" })).toMatchObject({
      status: 400,
      body: { error: { param: "purpose" } },
    });
    expect(await send(key, { text: "another" })).toMatchObject({ status: 200, body: { bytes: 7 } });
    expect(await send("x".repeat(256))).toMatchObject({ status: 400, body: { error: { param: "Idempotency-Key" } } });
  });

  test("a file that was deleted is uploaded anew, and is another one, whatever is in it", async () => {
    for (const text of [content, "another"]) {
      const key = newKey();
      const { body } = await send(key);
      await service.client.files.delete(body.id);
      const again = await send(key, { text });
      expect(again).toMatchObject({ status: 200, body: { bytes: text.length } });
      expect(again.body.id).not.toBe(body.id);
      expect(await send(key, { text })).toEqual(again);
      await expect(service.client.files.retrieve(body.id)).rejects.toMatchObject({ status: 404 });
    }
  });
});
