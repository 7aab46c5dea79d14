// Jobs and batch lines in Bedrock's own format, from the HTTP API to the bytes at Bedrock and back, in both forms.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Simulator, startSimulator } from "../../src/simulator/simulator.ts";
import { linesIn, startTestService, type TestService, untilStatus, upload } from "../batches/support.ts";
import * as bedrock from "../providers/fake-bedrock.ts";
import { describeForm } from "../support/forms.ts";
import { nativeBody } from "../support/native-bodies.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const quotas = [{ unit: "requests" as const, per: "minute" as const, limit: 1_000_000, burst: 1_000_000 }];
const llama = "meta.llama3-3-70b-instruct-v1:0";
const claude = "anthropic.claude-haiku-4-5-20251001-v1:0";

describeForm((form) => {
  let fake: bedrock.FakeBedrock;
  let simulator: Simulator;
  let service: TestService;
  beforeAll(async () => {
    [fake, simulator] = await Promise.all([bedrock.startFakeBedrock(), startSimulator({})]);
    service = await startTestService(form, {
      file: {
        defaultModel: "fake",
        models: {
          fake: { deployments: [{ region: "us-east-1", modelId: `us.${claude}`, quotas }] },
          simulated: { deployments: [{ region: "us-east-1", modelId: `us.${llama}`, quotas }] },
        },
      },
      providerFor: ({ modelId }) =>
        bedrock.providerFor(modelId.includes("claude") ? fake.url : simulator.url, { modelId }),
    });
  });
  afterAll(async () => {
    await service?.close();
    await Promise.all([fake?.close(), simulator?.stop()]);
  });

  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  async function call(path: string, body?: string): Promise<any> {
    const response = await fetch(`${service.url}${path}`, {
      ...(body !== undefined && { method: "POST", body, headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return { ...JSON.parse(text), raw: text };
  }

  const ended = (jobId: string) => call(`/v1/jobs/${jobId}?wait=30`);

  test("POST /v1/jobs: the body reaches Bedrock byte for byte, and comes back with the request", async () => {
    const answer =
      ' {"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","n": 1.0,"usage":{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":2}}\n';
    fake.respond((res) => res.writeHead(200, { "content-type": "application/json" }).end(answer));
    // Half of a surrogate pair is refused here, as in every body.
    const bodies = nativeBody.filter((body) => !/\\ud800/.test(body)).map((body) => body.trim());
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const sent = `{"environment": "UAT", "native": {"operation": "invoke", "body": ${body}}}`;
        const { job_id: jobId } = await call("/v1/jobs", sent);
        const job = await ended(jobId);
        expect(fake.texts.at(-1)).toBe(body);
        expect(fake.requests.at(-1)!.path).toBe(`/model/${encodeURIComponent(`us.${claude}`)}/invoke`);
        expect(job).toMatchObject({
          status: "completed",
          text: "Hi",
          native: { operation: "invoke", stream: false, base_model: claude, body: answer, events: null },
          usage: { input_tokens: 7, output_tokens: 3, cache_read_tokens: 2 },
        });
        const request = await call(`/v1/jobs/${jobId}/request`);
        expect(request.raw).toContain(`"native":{"operation":"invoke","stream":false,"body":${body},"headers":null}`);
      }),
      { numRuns: 15 },
    );
  });

  test("a streamed call: its events are kept, and readers get their text", async () => {
    let finish = () => {};
    const gate = new Promise<void>((resolve) => {
      finish = resolve;
    });
    fake.respond(
      bedrock.stream([bedrock.start, bedrock.text("Hel")], async (res) => {
        await gate;
        for (const frame of [bedrock.text("lo"), bedrock.stop("end_turn"), bedrock.usage]) res.write(frame);
        res.end();
      }),
    );
    const body = `{"messages":[{"role":"user","content":[{"text":"Hello?"}]}]}`;
    const sent = `{"environment":"UAT","model":"global.${claude}","native":{"operation":"converse","stream":true,"body":${body}}}`;
    const { job_id: jobId } = await call("/v1/jobs", sent);
    const response = await fetch(`${service.url}/v1/jobs/${jobId}/events`);
    let heard = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      heard += chunk;
      if (heard.includes('"text":"Hel"')) finish();
    }
    const texts = [...heard.matchAll(/data: (\{"attempt":1,"text".*\})/g)].map(([, data]) => JSON.parse(data!).text);
    expect(texts.join("")).toBe("Hello");
    expect(heard).not.toContain("event: restart");
    const job = await ended(jobId);
    expect(job).toMatchObject({ status: "completed", text: "Hello", model: "fake" });
    const events = job.native.events
      .trim()
      .split("\n")
      .map((line: string) => JSON.parse(line));
    expect(events.map(([type]: [string]) => type)).toEqual([
      "messageStart",
      "contentBlockDelta",
      "contentBlockDelta",
      "messageStop",
      "metadata",
    ]);
    expect(fake.requests.at(-1)!.path).toMatch(/\/converse-stream$/);
  });

  test("what is refused is not queued", async () => {
    const refused = async (fields: string) => {
      const body = `{"environment": "UAT", ${fields}}`;
      const init = { method: "POST", body, headers: { "content-type": "application/json" } };
      const response = await fetch(`${service.url}/v1/jobs`, init);
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      return [response.status, error.code, error.message];
    };
    const native = '"native": {"operation": "invoke", "body": {}}';
    expect(await refused(`${native}, "prompt": "p"`)).toEqual([
      400,
      "invalid_request",
      "prompt must not be set together with native: the body of a native request says it.",
    ]);
    expect(await refused(`${native}, "model": "nova"`)).toMatchObject([400, "unknown_model", /./]);
    expect(await refused('"native": {"operation": "converse", "body": []}')).toMatchObject([
      400,
      "invalid_request",
      /./,
    ]);
    expect(await refused('"native": {"operation": "invoke", "body": {}, "headers": {"host": "a"}}')).toMatchObject([
      400,
      "invalid_request",
      /^native\.headers must have only x-amzn-bedrock-guardrailidentifier, .*; got "host"\.$/,
    ]);
  });

  test.each([
    [
      "in OpenAI's form",
      (id: string, body: string, url: string) => `{"custom_id":"${id}","method":"POST","url":"${url}","body":${body}}`,
    ],
    [
      "in the form of Bedrock's batch inference",
      (id: string, body: string) => `{"recordId": "${id}", "modelInput": ${body}}`,
    ],
  ])("a batch of lines %s, answered by the simulator", async (_, lineOf) => {
    const endpoint = `/model/us.${llama}/invoke`;
    const ids = ["a", "b", "c"];
    const lines = ids.map((id) =>
      lineOf(id, `{"prompt": "Say ${id}.", "max_gen_len": 20, "temperature": 0.50}`, endpoint),
    );
    const input_file_id = await upload(service, `${lines.join("\n")}\n`);
    const created = await service.client.batches.create({
      input_file_id,
      // OpenAI's own type knows only OpenAI's endpoints.
      endpoint: endpoint as "/v1/responses",
      completion_window: "24h",
    });
    const batch = await untilStatus(service, created.id, "completed");
    const results = await linesIn(service, batch.output_file_id);
    expect(results.map(({ custom_id }) => custom_id).sort()).toEqual(ids);
    for (const { response } of results) {
      expect(response).toMatchObject({
        status_code: 200,
        body: {
          generation: expect.any(String),
          stop_reason: expect.any(String),
          generation_token_count: expect.any(Number),
        },
      });
    }
  });

  test("lines that cannot be sent are refused with their place", async () => {
    const endpoint = `/model/${encodeURIComponent(llama)}/converse`;
    const lines = ['{"recordId":"a","modelInput":[]}', '{"recordId":"","modelInput":{}}', '{"modelInput":{}}'];
    const input_file_id = await upload(service, `${lines.join("\n")}\n`);
    const create = (endpoint: string) =>
      service.client.batches.create({ input_file_id, endpoint: endpoint as "/v1/responses", completion_window: "24h" });
    const failed = await untilStatus(service, (await create(endpoint)).id, "failed");
    expect(failed.errors!.data!.map(({ line, code, param }) => [line, code, param])).toEqual([
      [1, "invalid_request", "modelInput"],
      [2, "invalid_custom_id", "recordId"],
      [3, "missing_required_parameter", "recordId"],
    ]);
    const chat = await untilStatus(service, (await create("/v1/chat/completions")).id, "failed");
    expect(chat.errors!.data![0]).toMatchObject({ line: 1, code: "mismatched_url", param: "modelInput" });
    await expect(create("/model//invoke")).rejects.toThrow(
      /endpoint must be one of .*\/model\/\{modelId\}\/invoke; got/,
    );
  });
});
