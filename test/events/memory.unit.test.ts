import { expect, test } from "vitest";
import { newJobId } from "../../src/domain/ids.ts";
import { createMemoryEventBus } from "../../src/events/memory/memory-event-bus.ts";
import { eventBusConformance } from "./conformance.ts";

eventBusConformance("memory", async () => {
  const bus = createMemoryEventBus();
  return { here: bus, there: bus };
});

test("errors that a listener throws are reported", () => {
  const errors: unknown[] = [];
  const bus = createMemoryEventBus({ onListenerError: (e) => errors.push(e) });
  const [jobId, fault] = [newJobId(), new Error("a listener's own fault")];
  bus.subscribe(jobId, () => {
    throw fault;
  });
  bus.publish({ type: "restart", jobId, attempt: 2 });
  expect(errors).toEqual([fault]);
});
