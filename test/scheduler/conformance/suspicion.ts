// Whose fault a refusal is: the job's if others are served, the deployment's if several in a row are refused.
import { expect } from "vitest";
import type { DeploymentChange, DeploymentSignal, Grant } from "../../../src/scheduler/scheduler.ts";
import { type Case, configOf, deployment, jobId, jobs, minuteMs, numberOf } from "../harness.ts";

const refused: DeploymentSignal = { kind: "refused", reason: "no" };
const misconfigured: DeploymentSignal = { kind: "misconfigured", reason: "no credit" };
const capacity: DeploymentSignal = { kind: "capacity", reason: "HTTP 502" };

const one = configOf([]);
const threeAndFallback = configOf(
  [],
  ["a", "b", "c", "f"].map((id) => deployment(id, [])),
  {
    models: {
      m: { deployments: ["a", "b", "c"], choice: "headroom" },
      other: { deployments: ["f"], choice: "headroom" },
    },
  },
);

export function suspicionCases(declare: Case): void {
  declare("B1: a job is rejected when it is refused again after another job was answered", one, async (d) => {
    await d.add(...jobs(1, 21));
    expect(await d.refuse(await d.takeOne(), refused)).toBe("settled");
    expect(await d.deployment("d")).toMatchObject({ state: "in_service" });
    expect((await d.waiting(jobId(1))).waitingOn).toEqual({ kind: "refused", deployment: "d", reason: "no" });
    expect(await d.run()).toHaveLength(20);
    await d.advance(1000);
    const again = await d.takeOne();
    expect(numberOf(again)).toBe(1);
    const settlement = { jobId: again.jobId, grant: again.grant, job: { requeueAfterMs: 0 }, charge: "keep" } as const;
    expect(await d.scheduler.settle([{ ...settlement, signal: refused }])).toEqual(["rejected"]);
    expect(await d.scheduler.explain(jobId(1))).toEqual({ state: "absent" });
    // The reply was lost.
    expect(await d.scheduler.settle([{ ...settlement, signal: refused }])).toEqual(["rejected"]);
  });

  declare("B1: with other deployments and a fallback none goes out of service", threeAndFallback, async (d) => {
    await d.add(...jobs(1, 21, { models: ["m", "other"] }));
    expect(await d.refuse(await d.takeOne(), refused)).toBe("settled");
    const others = await d.grants();
    await d.finish(others);
    expect(new Set(others.map((g) => g.deployment))).toEqual(new Set(["a", "b", "c"]));
    await d.advance(1000);
    expect(await d.refuse(await d.takeOne(), refused)).toBe("rejected");
    const { deployments } = await d.scheduler.snapshot();
    expect(deployments.map(({ state }) => state)).toEqual(Array(4).fill("in_service"));
  });

  declare("a Retry-After of a day is a minute the first time, and other jobs go first after it", one, async (d) => {
    await d.add(...jobs(1, 3));
    const busy: DeploymentSignal = { kind: "capacity", retryAfterMs: 86_400_000 };
    await d.refuse(await d.takeOne(), busy);
    expect((await d.acquire()).retryInMs).toBe(minuteMs);
    await d.advance(minuteMs);
    const second = await d.takeOne();
    expect(numberOf(second)).toBe(2);
    await d.refuse(second, busy);
    expect(await d.deployment("d")).toMatchObject({ state: "cooling_down", forMs: 2 * minuteMs });
  });

  declare("once other jobs were answered, the Retry-After applies to the job alone", one, async (d) => {
    await d.add(...jobs(1, 3));
    const throttled: DeploymentSignal = { kind: "throttled", throttle: "unknown", retryAfterMs: 86_400_000 };
    await d.refuse(await d.takeOne(), throttled);
    await d.advance(minuteMs);
    await d.finish([await d.takeOne()]);
    await d.advance(1000);
    const others = await d.grants();
    const poison = others.find((grant) => numberOf(grant) === 1)!;
    await d.refuse(poison, throttled);
    expect(await d.deployment("d")).toMatchObject({ state: "cooling_down", forMs: 1000 });
  });

  declare("a suspect goes to a deployment that has not refused it", threeAndFallback, async (d) => {
    await d.add(...jobs(1, 1, { models: ["m", "other"] }));
    const asked: string[] = [];
    for (let wait = 1000; asked.length < 3; wait *= 2) {
      const grant = await d.takeOne();
      asked.push(grant.deployment);
      await d.refuse(grant, refused);
      expect(await d.take()).toEqual([]);
      await d.advance(wait);
    }
    expect(asked.sort()).toEqual(["a", "b", "c"]);
  });

  declare("a suspect without other jobs is tried ever more rarely and is not rejected", one, async (d) => {
    await d.add(...jobs(1, 1));
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      expect(await d.refuse(await d.takeOne(), refused)).toBe("settled");
      const { retryInMs } = await d.acquire();
      waits.push(retryInMs!);
      await d.advance(retryInMs!);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect(await d.deployment("d")).toMatchObject({ state: "in_service" });
  });

  declare("three jobs refused in a row take the deployment out of service; none is rejected", one, async (d) => {
    const told: DeploymentChange[] = [];
    d.scheduler.onDeploymentChange((change) => told.push(change));
    await d.add(...jobs(1, 50));
    const grants = await d.grants(10);
    for (const grant of grants) expect(await d.refuse(grant, refused)).toBe("settled");
    expect(await d.deployment("d")).toMatchObject({ state: "out_of_service", reason: "no", forMs: 1000 });
    expect((await d.waiting(jobId(20))).waitingOn).toEqual({ kind: "out_of_service", deployment: "d", reason: "no" });
    expect(await d.take()).toEqual([]);
    await d.advance(1000);
    // A job that was not refused makes the trial call, and the first answer ends it.
    const [trial, ...more] = await d.grants();
    expect(more).toEqual([]);
    expect(numberOf(trial!)).toBe(11);
    expect((await d.deployment("d")).state).toBe("out_of_service");
    await d.finish([trial!]);
    expect(await d.deployment("d")).toMatchObject({ state: "in_service" });
    await d.advance(1000);
    expect(await d.run()).toHaveLength(49);
    expect(told).toEqual([
      { deployment: "d", state: "out_of_service", reason: "no" },
      { deployment: "d", state: "in_service", reason: "no" },
    ]);
  });

  declare("an answer in between clears the deployment", one, async (d) => {
    await d.add(...jobs(1, 50));
    for (let i = 0; i < 6; i++) {
      await d.refuse(await d.takeOne(), refused);
      if (i % 2 === 1) await d.finish([await d.takeOne()]);
    }
    expect(await d.deployment("d")).toMatchObject({ state: "in_service" });
  });

  declare("each refused trial doubles the wait and the number of jobs", one, async (d) => {
    await d.add(...jobs(1, 200));
    for (const grant of await d.grants(3)) await d.refuse(grant, refused);
    const seen: [forMs: number, size: number][] = [];
    for (let i = 0; i < 7; i++) {
      const { forMs } = await d.deployment("d");
      await d.advance(forMs!);
      const trial = await d.grants();
      seen.push([forMs!, trial.length]);
      for (const grant of trial) expect(await d.refuse(grant, refused)).toBe("settled");
    }
    expect(seen).toEqual([
      [1000, 1],
      [2000, 2],
      [4000, 4],
      [8000, 8],
      [16_000, 16],
      [32_000, 32],
      [60_000, 64],
    ]);
  });

  declare("one answered call of a trial ends it, though another was refused before", one, async (d) => {
    await d.add(...jobs(1, 50));
    for (const grant of await d.grants(3)) await d.refuse(grant, refused);
    await d.advance(1000);
    await d.refuse(await d.takeOne(), refused);
    await d.advance(2000);
    const [first, second] = await d.grants();
    await d.refuse(first!, refused);
    expect((await d.deployment("d")).state).toBe("out_of_service");
    await d.finish([second!]);
    expect((await d.deployment("d")).state).toBe("in_service");
  });

  declare("suspects are tried one after the other if there is no other job", one, async (d) => {
    await d.add(...jobs(1, 3));
    for (const grant of await d.grants()) await d.refuse(grant, refused);
    await d.advance(1000);
    expect(await d.take()).toEqual([]);
    expect((await d.waiting(jobId(1))).waitingOn).toMatchObject({ kind: "refused", reason: "no" });
    await d.advance(1000);
    expect(await d.run(1)).toEqual([1]);
    expect((await d.deployment("d")).state).toBe("in_service");
  });

  declare("a poisonous job at the head of its flow is rejected, and no other job is", one, async (d) => {
    await d.add(...jobs(1, 60));
    const isPoison = (grant: Grant) => numberOf(grant) <= 40;
    let rejected = 0;
    let done = 0;
    for (let waited = 0; rejected < 40; ) {
      expect(waited).toBeLessThan(5 * minuteMs);
      const { grants, retryInMs } = await d.acquire(10);
      for (const grant of grants) {
        if (!isPoison(grant)) {
          await d.finish([grant]);
          done += 1;
        } else if ((await d.refuse(grant, refused)) === "rejected") rejected += 1;
      }
      if (grants.length === 0) {
        await d.advance(retryInMs!);
        waited += retryInMs!;
      }
    }
    expect(done).toBe(20);
  });

  declare(
    "a message that points to the account: another job makes the trial, and rejection takes five strikes",
    one,
    async (d) => {
      await d.add(...jobs(1, 50));
      await d.refuse(await d.takeOne(), misconfigured);
      expect(await d.deployment("d")).toMatchObject({ state: "out_of_service", forMs: 5 * minuteMs });
      await d.advance(5 * minuteMs);
      const trial = await d.takeOne();
      expect(numberOf(trial)).toBe(2);
      await d.finish([trial]);
      const answers: string[] = [];
      for (let n = 0; n < 5; n++) {
        await d.advance(minuteMs);
        const grant = await d.takeOne();
        expect(numberOf(grant)).toBe(1);
        answers.push(await d.refuse(grant, misconfigured));
        // The deployment is not blamed again: it has served others.
        expect((await d.deployment("d")).state).toBe("in_service");
        await d.finish([await d.takeOne()]);
      }
      expect(answers).toEqual(["settled", "settled", "settled", "settled", "rejected"]);
    },
  );

  declare("a job that always gets capacity errors does not keep the deployment from others", one, async (d) => {
    await d.add(...jobs(1, 2));
    const poison = jobId(1);
    const states: string[] = [];
    const answers: string[] = [];
    for (let n = 3; answers.at(-1) !== "rejected"; n++) {
      expect(n).toBeLessThan(100);
      for (let grants = await d.grants(1); grants.length > 0; grants = await d.grants(1)) {
        const [grant] = grants;
        if (grant!.jobId === poison) answers.push(await d.refuse(grant!, capacity));
        else await d.finish(grants);
        states.push((await d.deployment("d")).state);
      }
      await d.add(...jobs(n, n));
      await d.advance(minuteMs);
    }
    // Twice the deployment is at fault, as far as is known; then others are answered in between.
    expect(answers).toHaveLength(62);
    expect(states.filter((state) => state !== "in_service")).toHaveLength(2);
  });

  declare(
    "calls that were running when a deployment left service prove nothing against its suspects",
    one,
    async (d) => {
      await d.add(...jobs(1, 50));
      const grants = await d.grants(10);
      const [a, b, c, ...running] = grants;
      for (const grant of [a!, b!, c!]) await d.refuse(grant, refused);
      await d.finish(running);
      expect((await d.deployment("d")).state).toBe("out_of_service");
      await d.advance(1000);
      for (const grant of await d.grants()) expect(await d.refuse(grant, refused)).toBe("settled");
      await d.advance(minuteMs);
      for (const grant of await d.grants()) expect(await d.refuse(grant, refused)).toBe("settled");
    },
  );

  declare("an emptied scheduler knows no suspects and finds them again", one, async (d) => {
    await d.add(...jobs(1, 1));
    await d.refuse(await d.takeOne(), refused);
    const ticket = (await d.scheduler.beginRebuild())!;
    await d.scheduler.restore(ticket, { entries: jobs(1, 21) });
    await d.scheduler.finishRebuild(ticket);
    expect(await d.refuse(await d.takeOne(), refused)).toBe("settled");
    await d.finish(await d.grants());
    await d.advance(1000);
    expect(await d.refuse(await d.takeOne(), refused)).toBe("rejected");
  });
}
