// Random requests and answers of Bedrock pass through the service byte for byte, wherever the pieces of a stream are cut.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { EventStreamReader, type StreamMessage } from "../../src/event-stream/event-stream-reader.ts";
import { event, type FakeBedrock, startFakeBedrock } from "../providers/fake-bedrock.ts";
import { testSettings } from "../support/jobs-context.ts";
import { testSeed } from "../support/seed.ts";
import { type StartedService, startForm } from "../support/started-service.ts";

let aws: FakeBedrock;
let service: StartedService;
beforeAll(async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIA");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
  aws = await startFakeBedrock();
  const deployment = { region: "us-east-1", modelId: "us.amazon.nova-lite-v1:0", endpoint: aws.url };
  const settings = testSettings({ models: { nova: { deployments: [deployment] } }, defaultModel: "nova" });
  service = await startForm("embedded", { ...settings, logLevel: "silent" });
});
afterAll(async () => {
  await service?.stop();
  await aws?.close();
  vi.unstubAllEnvs();
});

/** JSON whose bytes change if it is parsed and printed again: spaces, escapes, large and long numbers, doubled keys. */
const number = fc.constantFrom("1.0", "12345678901234567890", "-0", "1e5", "0.10");
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 12 }).map((value) => JSON.stringify(value)),
  fc.constantFrom('"\\u00e4\\/"', '"\\ud83d\\ude00"', '"漢"'),
);
const space = fc.constantFrom("", " ", "\n\t");
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    number,
    text,
    fc.constantFrom("true", "null"),
    fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join(" ,")}]`),
    fc
      .tuple(space, fc.array(fc.tuple(text, space, tie("value")), { maxLength: 3 }))
      .map(([gap, fields]) => `{${gap}${fields.map(([key, s, item]) => `${key}${s}:${item}`).join(",")}}`),
  ),
}));
const body = fc.tuple(space, value, value).map(([gap, a, b]) => `${gap}{"zeta":${a} ,"messages":${b}}${gap}`);
/** The shape that lets Sluice read text and usage, with random JSON around it. */
const answer = fc
  .tuple(space, value)
  .map(
    ([gap, extra]) =>
      `{${gap}"extra":${extra},"output":{"message":{"role":"assistant","content":[{"text":"hi"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2}}`,
  );

const send = (path: string, sent: string) =>
  fetch(`${service.url}/model/nova/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: sent,
  });
const options = { numRuns: 25, seed: testSeed };

test.each(["converse", "invoke"])("%s", async (operation) => {
  await fc.assert(
    fc.asyncProperty(body, answer, async (sent, answered) => {
      aws.respond((res) =>
        res.writeHead(200, { "content-type": "application/json", "x-amzn-requestid": "r" }).end(answered),
      );
      const response = await send(operation, sent);
      expect(await response.text()).toBe(answered);
      expect(response.status).toBe(200);
      expect(aws.texts.at(-1)).toBe(sent);
    }),
    options,
  );
});

test("the events of a stream, with those of unknown types", async () => {
  const begin = ["messageStart", '{"role":"assistant"}'] as const;
  const end = [
    ["messageStop", '{"stopReason":"end_turn"}'],
    ["metadata", '{"usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":1}}'],
  ] as const;
  const delta = fc.tuple(fc.constantFrom("contentBlockDelta", "somethingNew"), answer);
  await fc.assert(
    fc.asyncProperty(body, fc.array(delta, { maxLength: 4 }), fc.array(fc.nat(5000)), async (sent, deltas, cuts) => {
      const events = [begin, ...deltas, ...end];
      const bytes = Buffer.concat(events.map(([type, payload]) => event(type, payload)));
      aws.respond(async (res) => {
        res.writeHead(200, { "content-type": "application/vnd.amazon.eventstream", "x-amzn-requestid": "r" });
        const places = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
        for (const [i, from] of places.slice(0, -1).entries()) {
          const piece = bytes.subarray(from, places[i + 1]);
          await new Promise((written) => res.write(piece, written));
        }
        res.end();
      });
      const response = await send("converse-stream", sent);
      const reader = new EventStreamReader(() => {});
      const messages: StreamMessage[] = [];
      for await (const chunk of response.body!) messages.push(...reader.read(chunk));
      reader.end();
      expect(messages).toEqual(events.map(([type, payload]) => ({ kind: "event", type, payload })));
      expect(aws.texts.at(-1)).toBe(sent);
    }),
    options,
  );
});
