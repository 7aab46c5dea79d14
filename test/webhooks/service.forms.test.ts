import { Webhook } from "standardwebhooks";
import { afterAll, expect, test, vi } from "vitest";
import { endpoint, lineOf, startTestService, type TestService, upload } from "../batches/support.ts";
import { describeForm } from "../support/forms.ts";
import { callJson, startReceiver } from "./receiver.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const webhooks = { allowPrivateNetworks: ["127.0.0.1"] };

describeForm((mode) => {
  let service: TestService | undefined;
  afterAll(() => service?.close());

  test("a job and a batch tell of their end, signed", async () => {
    service = await startTestService(mode, { file: { webhooks } });
    const { url } = service;
    const receiver = await startReceiver();
    const { job_id } = await callJson(url, "/enqueue", {
      prompt: "why",
      environment: "UAT",
      webhook_url: receiver.url,
    });
    const input_file_id = await upload(service, `${lineOf("a")}\n${lineOf("b")}\n`);
    const extra = { webhook_url: receiver.url } as object;
    const batch = await service.client.batches.create({
      input_file_id,
      endpoint,
      completion_window: "24h",
      ...extra,
    });
    const bad = await service.client.batches.create({
      input_file_id: await upload(service, "no JSON\n"),
      endpoint,
      completion_window: "24h",
      ...extra,
    });
    await vi.waitFor(() => expect(receiver.received).toHaveLength(3), { timeout: 60_000, interval: 100 });
    const { secret } = await callJson(url, "/v1/webhooks/secret");
    const events = receiver.received.map(({ body, headers }) => new Webhook(secret).verify(body, headers));
    const of = (type: string) => events.find((event) => (event as { type: string }).type === type);
    expect(of("job.completed")).toMatchObject({ data: { job_id, text: "WHY" } });
    expect(of("batch.completed")).toMatchObject({
      data: { id: batch.id, status: "completed", request_counts: { total: 2, completed: 2, failed: 0 } },
    });
    expect(of("batch.failed")).toMatchObject({ data: { id: bad.id, errors: { data: [{ line: 1 }] } } });
    const ids = [`msg_${bad.id}`, `msg_${batch.id}`, `msg_${job_id}`];
    const list = await callJson(url, "/v1/webhooks/deliveries");
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual(ids);
    const paged: string[] = [];
    for (let cursor = ""; ; ) {
      const page = await callJson(url, `/v1/webhooks/deliveries?limit=1${cursor && `&cursor=${cursor}`}`);
      paged.push(...page.data.map(({ id }: { id: string }) => id));
      if (page.next_cursor === null) break;
      cursor = encodeURIComponent(page.next_cursor);
    }
    expect(paged).toEqual(ids);
    // The end of a delivery is stored after the receiver has answered.
    await vi.waitFor(
      async () => {
        const found = await callJson(url, `/v1/webhooks/deliveries?batch=${batch.id}`);
        expect(found.data).toMatchObject([{ batch_id: batch.id, job_id: null, status: "delivered" }]);
      },
      { timeout: 60_000, interval: 100 },
    );
    // By hand, once more.
    await callJson(url, `/v1/webhooks/deliveries/msg_${job_id}/redeliver`, {});
    await vi.waitFor(() => expect(receiver.received).toHaveLength(4), { timeout: 60_000, interval: 100 });
    expect(receiver.received[3]!.headers["webhook-id"]).toBe(`msg_${job_id}`);
  });
});

describeForm(
  (mode) => {
    let service: TestService | undefined;
    afterAll(() => service?.close());

    test("a chat completion and a response tell of their end as any job does, once", async () => {
      service = await startTestService(mode, { file: { webhooks } });
      const { client, url } = service;
      const receiver = await startReceiver();
      const extra = { webhook_url: receiver.url } as object;
      const chat = { model: "llama3-3-70b", messages: [{ role: "user" as const, content: "why" }], ...extra };
      const { data, response } = await client.chat.completions.create(chat).withResponse();
      expect(data.choices[0]!.message.content).toBe("WHY");
      const unstored = await client.chat.completions.create({ ...chat, store: false }).withResponse();
      expect(unstored.data.choices[0]!.message.content).toBe("WHY");
      const streamed = await client.chat.completions.create({ ...chat, stream: true }).withResponse();
      for await (const _ of streamed.data);
      const asked = { model: "llama3-3-70b", input: "how", background: true, ...extra };
      const once = { headers: { "idempotency-key": "once" } };
      const { id } = await client.responses.create(asked, once);
      expect((await client.responses.create(asked, once)).id).toBe(id);
      const elsewhere = { ...asked, webhook_url: `${receiver.url}&other` };
      await expect(client.responses.create(elsewhere, once)).rejects.toMatchObject({ status: 409 });

      await vi.waitFor(() => expect(receiver.received).toHaveLength(4), { timeout: 60_000, interval: 100 });
      const { secret } = await callJson(url, "/v1/webhooks/secret");
      const events = new Map(
        receiver.received.map(({ body, headers }) => {
          const event = new Webhook(secret).verify(body, headers) as { type: string; data: { job_id: string } };
          return [event.data.job_id, event];
        }),
      );
      const of = (from: { headers: Headers }) => events.get(from.headers.get("x-sluice-job-id")!);
      expect(of(response)).toMatchObject({ type: "job.completed", data: { text: "WHY", priority: "interactive" } });
      expect(of(unstored.response)).toMatchObject({ type: "job.completed", data: { text: "", tool_calls: null } });
      expect(of(streamed.response)).toMatchObject({ data: { text: "WHY" } });
      const ofResponse = [...events].find(([jobId]) => id === `resp_${jobId.replaceAll("-", "")}`);
      expect(ofResponse?.[1]).toMatchObject({ data: { text: "HOW", priority: "standard" } });
      const deliveries = (await callJson(url, "/v1/webhooks/deliveries")).data;
      expect(deliveries).toHaveLength(4);
    });
  },
  (form) => `${form}, through OpenAI's client`,
);
