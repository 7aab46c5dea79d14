// GET /v1/jobs/{id}/events over several processes: an answer streams on a worker, its reader hears it from one API, loses
// the connection, and comes back to another one with the id of the last event that it has.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { withoutMongo, withoutRedis } from "../support/servers.ts";
import type { SluiceProcess } from "../support/sluice-process.ts";
import { Cluster } from "./cluster.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

interface ReadEvent {
  id: string;
  event: string;
  data: { status?: string; text?: string };
}

describe.skipIf(withoutRedis() || withoutMongo())("events of a job that a worker runs", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
    await Promise.all([cluster.startApi(), cluster.startApi(), cluster.startWorker()]);
  });
  afterAll(() => cluster?.stop());

  /** Reads until the stream ends, or `enough` says so after an event: then the connection is cut. */
  async function read(
    { url }: SluiceProcess,
    jobId: string,
    lastEventId: string | undefined,
    enough: (events: readonly ReadEvent[]) => boolean,
  ): Promise<ReadEvent[]> {
    const response = await fetch(`${url}/v1/jobs/${jobId}/events`, {
      headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId },
    });
    expect(response.status).toBe(200);
    const events: ReadEvent[] = [];
    let rest = "";
    for await (const bytes of response.body!) {
      const blocks = `${rest}${new TextDecoder().decode(bytes)}`.split("\n\n");
      rest = blocks.pop()!;
      for (const block of blocks.filter((text) => !text.startsWith(":"))) {
        const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/).slice(0, 2)));
        events.push({ ...fields, data: JSON.parse(fields.data) } as ReadEvent);
        // Who goes away in the middle cuts the connection.
        if (enough(events)) return events;
      }
    }
    return events;
  }

  async function submit(prompt: string): Promise<string> {
    const accepted = await cluster.submit([prompt], "talking");
    return accepted.get(prompt)!;
  }

  const texts = (events: readonly ReadEvent[]) => events.filter(({ event }) => event === "text");
  const placeOf = ({ id }: ReadEvent) => id.split(".").map(Number) as [number, number, number];

  /** What holds of all that one reader was told, over all of its connections. */
  async function expectWhole(jobId: string, connections: readonly ReadEvent[][]): Promise<void> {
    const told = texts(connections.flat());
    const { outcome } = (await cluster.store.get(jobId))!;
    expect(outcome?.status).toBe("completed");
    expect(told.map(({ data }) => data.text).join("")).toBe(outcome!.text);
    // Each event stands further on than the one before, by its text and not less.
    let chars = 0;
    for (const event of told) {
      chars += event.data.text!.length;
      expect(placeOf(event)[2]).toBe(chars);
    }
    expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
    // A connection begins with the state that holds then; besides that each state is told once.
    const states = connections.map((events) =>
      events.filter(({ event }) => event === "state").map((e) => e.data.status),
    );
    for (const [i, some] of states.entries()) {
      expect(some).toEqual([...new Set(some)]);
      if (i > 0) expect(some[0]).not.toBe("queued");
    }
    expect(states.flat().filter((status) => status === "completed")).toHaveLength(1);
    expect(connections.at(-1)!.at(-1)).toMatchObject({ event: "state", id: "end", data: { status: "completed" } });
  }

  test("cut and taken up at the other API, again and again: no text is lost and none comes twice", async () => {
    const jobId = await submit("there and back");
    const connections: ReadEvent[][] = [];
    let last: string | undefined;
    // As long as it streams: back and forth between the two.
    for (let i = 0; last !== "end"; i++) {
      const api = cluster.apis[i % 2]!;
      const isLast = i === 3;
      const events = await read(api, jobId, last, (so) => !isLast && texts(so).length >= 3);
      connections.push(events);
      last = events.at(-1)!.id;
    }
    expect(connections).toHaveLength(4);
    await expectWhole(jobId, connections);
    // A reader that has everything is told so by whichever it asks.
    for (const { url } of cluster.apis) {
      const response = await fetch(`${url}/v1/jobs/${jobId}/events`, { headers: { "last-event-id": "end" } });
      expect(response.status).toBe(204);
    }
  });

  test("the API that the reader was connected to is killed", async () => {
    const jobId = await submit("killed");
    const [survivor, victim] = cluster.apis;
    const before = await read(victim!, jobId, undefined, (so) => texts(so).length >= 5);
    await cluster.kill(victim!);
    const after = await read(survivor!, jobId, before.at(-1)!.id, () => false);
    await expectWhole(jobId, [before, after]);
  });
});
