// A response in the background, read while it is made and afterwards, by OpenAI's own client: in one process, and in one
// that runs no jobs while another does.
import { once } from "node:events";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Provider } from "../../../src/providers/provider.ts";
import { type Service, startService } from "../../../src/service/start-service.ts";
import { startTestService, type TestService } from "../../batches/support.ts";
import { describeForm } from "../../support/forms.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const within = { timeout: 20_000, interval: 20 };

/** Says what the test has it say. */
class Script extends EventTarget implements Provider {
  calls = 0;
  async call({ onText, signal }: Parameters<Provider["call"]>[0]) {
    this.calls++;
    let text = "";
    for (;;) {
      const [{ detail }] = (await once(this, "say", { signal })) as [CustomEvent<string | null>];
      if (detail === null) break;
      text += detail;
      onText?.(detail);
    }
    return { text, toolCalls: [], finishReason: "stop" as const, usage: { input: 5, output: 5 } };
  }
  async say(text: string | null) {
    this.dispatchEvent(new CustomEvent("say", { detail: text }));
    await new Promise(setImmediate);
  }
  async close() {}
}

describeForm((mode) => {
  describe("a response in the background", () => {
    const model = new Script();
    let service: TestService;
    let reading: Service | undefined;
    /** Of the process that makes the call, and of another if there is one. */
    let here: OpenAI.Responses;
    let there: OpenAI.Responses;
    beforeAll(async () => {
      service = await startTestService(mode, { provider: model });
      here = service.client.responses;
      there = here;
      if (mode === "embedded") return;
      reading = await startService({ ...service.settings, role: "api" });
      there = new OpenAI({ baseURL: `${reading.url}/v1`, apiKey: "none", maxRetries: 0 }).responses;
    });
    afterAll(async () => {
      await reading?.stop();
      await service?.close();
    });

    async function read(from: OpenAI.Responses, id: string, starting_after?: number) {
      const after = starting_after === undefined ? {} : { starting_after };
      const stream = await from.retrieve(id, { stream: true, ...after });
      const reader = { text: "", last: -1, types: [] as string[], leave: () => stream.controller.abort() };
      const end = (async () => {
        for await (const event of stream) {
          expect(event.sequence_number).toBeGreaterThan(reader.last);
          reader.last = event.sequence_number;
          reader.types.push(event.type);
          if (event.type === "response.output_text.delta") reader.text += event.delta;
        }
      })();
      return Object.assign(reader, { end });
    }
    const hears = (reader: { text: string }, text: string) => vi.waitFor(() => expect(reader.text).toBe(text), within);

    test("a reader gets past events first and then new ones, on any server and however often it comes back", async () => {
      const before = model.calls;
      const { id } = await there.create({ model: "llama3-3-70b", input: "Why?", background: true });
      await vi.waitFor(() => expect(model.calls).toBe(before + 1), within);
      // No reader is subscribed.
      for (const piece of ["Ray", "leigh"]) await model.say(piece);
      const first = await read(there, id);
      await hears(first, "Rayleigh");
      expect(first.types.slice(0, 4)).toEqual([
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
      ]);
      await model.say(" scat");
      await hears(first, "Rayleigh scat");
      // Another one comes while the first is there.
      const beside = await read(there, id, 3 + "Ray".length);
      await hears(beside, "leigh scat");
      first.leave();
      await first.end;
      await model.say("ter");
      const second = await read(here, id, first.last);
      await hears(second, "ter");
      await model.say("ing");
      await hears(second, "tering");
      await model.say(null);
      await Promise.all([second.end, beside.end]);
      expect(beside.text).toBe("leigh scattering");
      expect(second.types.slice(-4)).toEqual([
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
      ]);
      for (const from of [here, there]) {
        const whole = await read(from, id);
        await whole.end;
        expect([whole.text, whole.last]).toEqual(["Rayleigh scattering", second.last]);
        const rest = await read(from, id, first.last);
        await rest.end;
        expect(rest.text).toBe("tering");
      }
    });

    test("created as a stream: who is cut off goes on in another process, and the call is made once", async () => {
      const before = model.calls;
      const stream = await there.create({ model: "llama3-3-70b", input: "Why?", background: true, stream: true });
      await vi.waitFor(() => expect(model.calls).toBe(before + 1), within);
      await model.say("Ray");
      let [id, last] = ["", -1];
      for await (const event of stream) {
        if (event.type === "response.created") id = event.response.id;
        last = event.sequence_number;
        if (event.type === "response.output_text.delta") break;
      }
      const rest = await read(here, id, last);
      await model.say("leigh");
      await hears(rest, "leigh");
      await model.say(null);
      await rest.end;
      expect(rest.types.at(-1)).toBe("response.completed");
      expect(model.calls).toBe(before + 1);
    });
  });
});
