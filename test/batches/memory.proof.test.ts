// A large file is never whole in memory: not when it is uploaded, nor checked, nor read again.
import { request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endpoint, lineOf, startTestService, type TestService, untilStatus } from "./support.ts";

const megabyte = 1024 * 1024;
const fileBytes = 160 * megabyte;
const maxGrowthBytes = 100 * megabyte;

let service: TestService;
beforeAll(async () => {
  service = await startTestService("embedded");
});
afterAll(() => service?.close());

test(`a file of ${fileBytes / megabyte} MB takes at most ${maxGrowthBytes / megabyte} MB of memory`, async () => {
  const before = process.memoryUsage.rss();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  try {
    const id = await uploadLarge();
    const batch = await service.client.batches.create({ input_file_id: id, endpoint, completion_window: "24h" });
    // All of it was read: the one mistake stands in the last line.
    const failed = await untilStatus(service, batch.id, "failed");
    expect(failed.errors?.data).toMatchObject([{ code: "invalid_json_line", line: lines + 1 }]);
    let read = 0;
    for await (const piece of (await service.client.files.content(id)).body!) read += (piece as Uint8Array).length;
    expect(read).toBeGreaterThan(fileBytes);
  } finally {
    clearInterval(watch);
  }
  expect((peak - before) / megabyte).toBeLessThan(maxGrowthBytes / megabyte);
});

const content = "x".repeat(20_000);
const lines = Math.ceil(fileBytes / content.length);

/** Made and sent a line at a time. */
async function uploadLarge(): Promise<string> {
  async function* form() {
    yield '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n';
    yield '--b\r\nContent-Disposition: form-data; name="file"; filename="large.jsonl"\r\n\r\n';
    for (let i = 0; i < lines; i++) yield `${lineOf(`line ${i}`, content)}\n`;
    yield "no JSON\r\n--b--\r\n";
  }
  const headers = { "content-type": "multipart/form-data; boundary=b" };
  const sending = request(`${service.url}/v1/files`, { method: "POST", headers });
  const answered = new Promise<string>((resolve, reject) => {
    sending.on("error", reject);
    sending.on("response", async (response) => {
      let text = "";
      for await (const piece of response) text += piece;
      resolve(text);
    });
  });
  await pipeline(Readable.from(form()), sending);
  return (JSON.parse(await answered) as { id: string }).id;
}
