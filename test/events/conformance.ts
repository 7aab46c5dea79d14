// What every event bus must do. An adapter's test calls this with a factory. Delivery and the beginning of a
// subscription may be asynchronous, so nothing here relies on either having happened when the call returns.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import type { EventBus, JobEvent } from "../../src/events/event-bus.ts";
import { makeJob } from "../store/conformance/support.ts";

/** Two ends of one bus, like two processes. Both are the same if the adapter is for one process. */
export interface Ends {
  here: EventBus;
  there: EventBus;
}

export function eventBusConformance(name: string, create: () => Promise<Ends>): void {
  describe(`event bus: ${name}`, () => {
    let bus: EventBus;
    let there: EventBus;
    beforeEach(async () => {
      ({ here: bus, there } = await create());
    });
    afterEach(() => Promise.all([bus.close(), there.close()]));

    const state = (jobId: string, at = 0): JobEvent => ({
      type: "state",
      jobId,
      environment: "UAT",
      state: "completed",
      at,
    });
    const text = (jobId: string, index: number): JobEvent => ({
      type: "tokens",
      jobId,
      attempt: 1,
      index,
      text: `piece ${index}`,
    });

    test("delivers to every listener of the job, in the order of publishing", async () => {
      const job = newJobId();
      const heard: [JobEvent[], JobEvent[]] = [[], []];
      bus.subscribe(job, (e) => heard[0].push(e));
      bus.subscribe(job, (e) => heard[1].push(e));
      const sent = [text(job, 0), text(job, 1), { type: "restart", jobId: job, attempt: 2 } as const, state(job)];
      for (const event of sent) bus.publish(event);
      await vi.waitFor(() => expect(heard).toEqual([sent, sent]));
    });

    test("delivers nothing to listeners of other jobs", async () => {
      const [mine, other] = [newJobId(), newJobId()];
      const heard: JobEvent[] = [];
      bus.subscribe(mine, (e) => heard.push(e));
      bus.publish(state(other));
      bus.publish(state(mine));
      await vi.waitFor(() => expect(heard).toEqual([state(mine)]));
    });

    test("listeners receive nothing of accepted jobs but the events that are published for them", async () => {
      const job = makeJob();
      const heard: JobEvent[] = [];
      bus.subscribe(job.id, (e) => heard.push(e));
      bus.publishAccepted([job]);
      bus.publish(state(job.id));
      await vi.waitFor(() => expect(heard).toEqual([state(job.id)]));
    });

    test("a listener for states receives no text and does not count as a listener", async () => {
      const job = newJobId();
      const heard: JobEvent[] = [];
      bus.subscribe(job, (e) => heard.push(e), "states");
      expect(bus.hasListeners(job)).toBe(false);
      bus.publish(text(job, 0));
      bus.publish({ type: "restart", jobId: job, attempt: 2 });
      bus.publish(state(job));
      await vi.waitFor(() => expect(heard).toEqual([state(job)]));
    });

    test("a listener counts from subscribing until it leaves", async () => {
      const job = newJobId();
      expect(bus.hasListeners(job)).toBe(false);
      const [leaveFirst, leaveSecond] = [bus.subscribe(job, () => {}), bus.subscribe(job, () => {})];
      await vi.waitFor(() => expect(bus.hasListeners(job)).toBe(true));
      leaveFirst();
      leaveFirst();
      expect(bus.hasListeners(job)).toBe(true);
      leaveSecond();
      await vi.waitFor(() => expect(bus.hasListeners(job)).toBe(false));
    });

    test("a listener that left receives nothing more, even if it left during a delivery", async () => {
      const job = newJobId();
      const [brief, steady]: [JobEvent[], JobEvent[]] = [[], []];
      const leave = bus.subscribe(job, (e) => {
        brief.push(e);
        leave();
      });
      bus.subscribe(job, (e) => steady.push(e));
      bus.publish(state(job, 1));
      bus.publish(state(job, 2));
      await vi.waitFor(() => expect(steady).toHaveLength(2));
      expect(brief).toEqual([state(job, 1)]);
    });

    test("a listener that throws disturbs neither the publisher nor the other listeners", async () => {
      const job = newJobId();
      const heard: JobEvent[] = [];
      bus.subscribe(job, () => {
        throw new Error("a listener's own fault");
      });
      bus.subscribe(job, (e) => heard.push(e));
      bus.publish(state(job));
      await vi.waitFor(() => expect(heard).toEqual([state(job)]));
    });

    test("a subscriber is notified when a listener for text joins, and reaches that listener then", async () => {
      const job = newJobId();
      const [heardHere, heardThere]: [JobEvent[], JobEvent[]] = [[], []];
      let joined = 0;
      const onJoined = () => there.publish(text(job, joined++));
      there.subscribe(job, () => {}, "states", onJoined);
      await vi.waitFor(() => {
        bus.publish(state(job));
        expect(there.hasListeners(job)).toBe(false);
      });
      bus.subscribe(job, () => {}, "states");
      there.subscribe(newJobId(), () => {});
      const mine = (heard: JobEvent[]) => (event: JobEvent) => void (event.type === "tokens" && heard.push(event));
      bus.subscribe(job, mine(heardHere));
      await vi.waitFor(() => expect(heardHere.length).toBeGreaterThan(0));
      const before = joined;
      there.subscribe(job, mine(heardThere));
      await vi.waitFor(() => expect(joined).toBeGreaterThan(before));
      await vi.waitFor(() => expect(heardThere.length).toBeGreaterThan(0));
      const again = joined;
      bus.subscribe(job, () => {});
      await vi.waitFor(() => expect(joined).toBeGreaterThan(again));
    });

    test("publishing without listeners, or after closing, is no error", async () => {
      bus.publish(state(newJobId()));
      await bus.close();
      bus.publish(state(newJobId()));
      await bus.close();
    });

    const probe = (jobId: string): JobEvent => ({ type: "state", jobId, environment: "UAT", state: "queued", at: -1 });

    /** Listens here. Resolves when what is published there arrives. Returns what arrives from then on. */
    async function listenHere(jobId: string, wants?: "all" | "states"): Promise<JobEvent[]> {
      const heard: JobEvent[] = [];
      let reached = false;
      bus.subscribe(
        jobId,
        (event) => {
          if (event.type === "state" && event.at === -1) reached = true;
          else heard.push(event);
        },
        wants,
      );
      await vi.waitFor(() => {
        there.publish(probe(jobId));
        expect(reached).toBe(true);
      });
      return heard;
    }

    test("one end receives what the other publishes, once and in order", async () => {
      const job = newJobId();
      const heard = await listenHere(job, "states");
      there.publish(state(newJobId()));
      const sent = Array.from({ length: 500 }, (_, i) => state(job, i));
      for (const event of sent) there.publish(event);
      await vi.waitFor(() => expect(heard).toHaveLength(500));
      expect(heard).toEqual(sent);
    });

    test("both ends receive what one of them publishes, once", async () => {
      const job = newJobId();
      const heardThere: JobEvent[] = [];
      there.subscribe(job, (e) => {
        if (e.type !== "state" || e.at !== -1) heardThere.push(e);
      });
      const heardHere = await listenHere(job);
      const sent = [state(job, 1), { type: "restart", jobId: job, attempt: 2 } as const, state(job, 2)];
      for (const event of sent) there.publish(event);
      await vi.waitFor(() => expect(heardHere).toEqual(sent));
      // An event of the other direction comes after any duplicates.
      bus.publish(state(job, 3));
      await vi.waitFor(() => expect(heardThere.at(-1)).toEqual(state(job, 3)));
      expect(heardThere).toEqual([...sent, state(job, 3)]);
    });

    test.each(["before", "after"])(
      "a worker learns that text is wanted elsewhere, when that began %s its call",
      async (when) => {
        const job = newJobId();
        const hearing = when === "before" ? await listenHere(job) : undefined;
        there.subscribe(job, () => {}, "states");
        await vi.waitFor(() => {
          there.publish({ type: "state", jobId: job, environment: "UAT", state: "in_progress", at: -1 });
          if (hearing) expect(there.hasListeners(job)).toBe(true);
        });
        const heard = hearing ?? (await listenHere(job));
        await vi.waitFor(() => expect(there.hasListeners(job)).toBe(true));
        there.publish(text(job, 0));
        there.publish(text(job, 1));
        await vi.waitFor(() => expect(heard).toEqual([text(job, 0), text(job, 1)]));
      },
    );

    test("a listener for states in another process does not count as a listener", async () => {
      const [watched, listened] = [newJobId(), newJobId()];
      there.subscribe(watched, () => {}, "states");
      there.subscribe(listened, () => {}, "states");
      await listenHere(watched, "states");
      await listenHere(listened);
      await vi.waitFor(() => {
        there.publish({ type: "restart", jobId: watched, attempt: 2 });
        there.publish({ type: "restart", jobId: listened, attempt: 2 });
        expect(there.hasListeners(listened)).toBe(true);
      });
      expect(there.hasListeners(watched)).toBe(false);
    });

    test("subscribing again after leaving receives again", async () => {
      const job = newJobId();
      for (let round = 0; round < 5; round++) {
        const leave = bus.subscribe(job, () => {});
        leave();
      }
      const heard = await listenHere(job);
      there.publish(state(job));
      await vi.waitFor(() => expect(heard).toEqual([state(job)]));
    });
  });
}
