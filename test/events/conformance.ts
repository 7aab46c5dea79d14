// What every event bus must do. An adapter's test calls this with a way to make one. Delivery may be asynchronous, so
// nothing here relies on an event having arrived when publish returns.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import type { EventBus, JobEvent } from "../../src/events/event-bus.ts";

export function eventBusConformance(name: string, create: () => Promise<EventBus>): void {
  describe(`event bus: ${name}`, () => {
    let bus: EventBus;
    beforeEach(async () => {
      bus = await create();
    });
    afterEach(() => bus.close());

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

    test("tells every listener of the job, in the order of publishing", async () => {
      const job = newJobId();
      const heard: [JobEvent[], JobEvent[]] = [[], []];
      bus.subscribe(job, (e) => heard[0].push(e));
      bus.subscribe(job, (e) => heard[1].push(e));
      const sent = [text(job, 0), text(job, 1), { type: "restart", jobId: job, attempt: 2 } as const, state(job)];
      for (const event of sent) bus.publish(event);
      await vi.waitFor(() => expect(heard).toEqual([sent, sent]));
    });

    test("tells nobody of other jobs", async () => {
      const [mine, other] = [newJobId(), newJobId()];
      const heard: JobEvent[] = [];
      bus.subscribe(mine, (e) => heard.push(e));
      bus.publish(state(other));
      bus.publish(state(mine));
      await vi.waitFor(() => expect(heard).toEqual([state(mine)]));
    });

    test("who wants states only hears no text and does not count as a listener", async () => {
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

    test("who left hears nothing more, also when leaving while being told", async () => {
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

    test("publishing where nobody listens, or after closing, is no error", async () => {
      bus.publish(state(newJobId()));
      await bus.close();
      bus.publish(state(newJobId()));
    });
  });
}
