// Calls that leave later than their charges allow.
import { expect } from "vitest";
import { type Case, configOf, jobs, quota, spanMs } from "../harness.ts";

export function lateCallCases(declare: Case): void {
  declare("a call that left late counts from then on", configOf([quota("q", 3)]), async (d) => {
    await d.add(...jobs(1, 10));
    const [late] = await d.grants();
    await d.advance(5000);
    expect(await d.leftLate(late!)).toMatchObject({ status: "recharged", sendWithinMs: 500 });
    expect(await d.used("q")).toBe(3);
    await d.finish([late!]);
    await d.advance(spanMs + 1 - 5000);
    expect(await d.take()).toEqual([4, 5]);
    await d.advance(4999);
    expect(await d.take()).toEqual([]);
    await d.advance(1);
    expect(await d.take()).toEqual([6]);
  });

  declare("a call that left late counts even if the quota is full", configOf([quota("q", 3)]), async (d) => {
    await d.add(...jobs(1, 10));
    const [late] = await d.grants();
    await d.advance(spanMs + 1);
    expect(await d.take()).toEqual([4, 5, 6]);
    const operation = d.operation();
    expect((await d.leftLate(late!, operation)).status).toBe("recharged");
    expect((await d.leftLate(late!, operation)).status).toBe("recharged");
    expect(await d.used("q")).toBe(4);
    await d.finish([late!]);
    expect((await d.leftLate(late!)).status).toBe("lost");
    expect(await d.used("q")).toBe(4);
  });

  declare(
    "a refusal of a call that left late closes the quota and lowers neither limit nor burst",
    configOf([quota("q", 100, { burst: 60 })]),
    async (d) => {
      await d.add(...jobs(1, 100));
      const grants = await d.grants();
      expect(grants).toHaveLength(60);
      await d.advance(3000);
      const throttled = { kind: "throttled", throttle: "requests" } as const;
      for (const late of grants.slice(0, 2)) {
        await d.leftLate(late);
        await d.refuse(late, throttled);
      }
      const untouched = { effectiveLimit: 100, effectiveBurst: 60 };
      expect(await d.quota("q")).toMatchObject({ ...untouched, throttledAgoMs: 0, closedForMs: 1000 });
      await d.refuse(grants[2]!, throttled);
      expect(await d.quota("q")).not.toMatchObject(untouched);
    },
  );
}
