// How calls that begin together leave: a few in each turn of the event loop.
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { SendSlots } from "../../../src/worker/attempt/send-slots.ts";

/** Returns for each of the calls, in the order in which they left, its number and the turn in which it left. */
async function leave(slots: SendSlots, calls: number): Promise<[call: number, turn: number][]> {
  const left: [number, number][] = [];
  let turn = 0;
  for (let i = 0; i < calls; i++) void slots.next().then(() => left.push([i, turn]));
  for (; left.length < calls; turn++) await setImmediate();
  return left;
}

test("at most eight calls share a turn, and they leave in the order in which they asked", async () => {
  const left = await leave(new SendSlots(), 30);
  expect(left.map(([call]) => call)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  for (const [, turn] of left) expect(left.filter(([, other]) => other === turn).length).toBeLessThanOrEqual(8);
});

test("the calls of one worker do not wait for those of another", async () => {
  const busy = leave(new SendSlots(), 200);
  const [[, turn]] = (await leave(new SendSlots(), 1)) as [[number, number]];
  expect(turn).toBeLessThanOrEqual(1);
  expect((await busy).at(-1)![1]).toBeGreaterThan(10);
});
