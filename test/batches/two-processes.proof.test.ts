// Two processes that share record and queue: one batch, one output, whichever of them goes away.
import { expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import { createBatch, lineOf, linesIn, shouting, startTestService, untilStatus } from "./support.ts";

test.skipIf(withoutMongo() || withoutRedis())(
  "a batch is taken over by the other process, and each line is answered once",
  { timeout: 90_000 },
  async () => {
    const calls: string[] = [];
    let open!: () => void;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const service = await startTestService("distributed", {
      file: { worker: { drainMs: 60_000 } },
      provider: {
        ...shouting,
        async call(call) {
          const answer = await shouting.call(call);
          calls.push(answer.text);
          if (calls.length > 20) await opened;
          return answer;
        },
      },
    });
    const other = await service.another();
    try {
      const ids = Array.from({ length: 60 }, (_, i) => `line ${i}`);
      const { id } = await createBatch(service, ids.map((name) => lineOf(name)).join("\n"));
      await vi.waitFor(() => expect(calls.length).toBeGreaterThan(20), { timeout: 30_000 });
      // One of the two goes, whether it was at the batch or not.
      const leaving = other.stop();
      open();
      await leaving;
      const done = await untilStatus(service, id, "completed");
      const output = await linesIn(service, done.output_file_id);
      expect(output.map((line) => line.custom_id)).toEqual(ids);
      expect(calls.toSorted()).toEqual(ids.map((name) => name.toUpperCase()).toSorted());
      const { data } = await service.client.files.list();
      expect(data.map((file) => file.purpose).toSorted()).toEqual(["batch", "batch_output"]);
    } finally {
      open();
      await other.stop();
      await service.close();
    }
  },
);
