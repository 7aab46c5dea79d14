// How much of a quota is used with a backlog, and how often the other side refuses: over real sockets and real minutes,
// against a simulated Bedrock that counts in each way that is known. It is compared with three usual ways to do
// without it. BENCH_MINUTES (default 4, the first of which does not count) says how long each upstream is tried;
// the three take their turns, so that what runs together is few calls a second.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bullmq, type Contender, fixedWindow, ours, retryOn429 } from "./quota-use/contenders.ts";
import { drawUse, type UseRow } from "./quota-use/plot.ts";
import { type Algorithm, type Quota, startUpstream, useOf } from "./quota-use/upstream.ts";
import { type Figure, spreadOf } from "./support/measure.ts";
import { startRedis } from "./support/redis-server.ts";

const minutes = Number(process.env.BENCH_MINUTES ?? 4);

const quotas: Record<string, Quota> = {
  "600 requests/min": { unit: "requests", limit: 600, sizes: [16, 16] },
  "1,000,000 tokens/min": { unit: "tokens", limit: 1_000_000, sizes: [200, 19_900] },
};
/** What they reach depends on the size of jobs: the larger a job is in comparison with the limit, the less fits. */
const small: Record<string, Quota> = {
  "10 requests/min": { unit: "requests", limit: 10, sizes: [16, 16] },
  "100,000 tokens/min": { unit: "tokens", limit: 100_000, sizes: [50, 1_950] },
};
const upstreams: Record<Algorithm, string> = {
  fixed: "fixed window",
  sliding: "sliding log",
  bucket: "token bucket",
};

export async function benchQuotaUse(): Promise<Figure[]> {
  const redis = await startRedis();
  const contenders: Record<string, Contender> = {
    Sluice: ours,
    "fixed-window limiter": fixedWindow,
    "retry on 429": retryOn429,
    ...(redis && { "BullMQ's limiter": bullmq(redis.socket) }),
  };
  const rows: UseRow[] = [];
  try {
    for (const algorithm of Object.keys(upstreams) as Algorithm[]) {
      const runs = [
        ...Object.entries(quotas).flatMap(([name, quota]) =>
          Object.entries(contenders).map(([who, contender]) => ({ name, quota, who, contender })),
        ),
        ...Object.entries(small).map(([name, quota]) => ({ name, quota, who: "Sluice", contender: ours })),
      ];
      const measured = runs.map(async ({ name, quota, who, contender }) => ({
        quota: name,
        upstream: upstreams[algorithm],
        who,
        ...(await measure(contender, quota, algorithm)),
      }));
      rows.push(...(await Promise.all(measured)));
    }
  } finally {
    await redis?.stop();
  }
  console.table(rows.map(shown));
  const folder = join("bench", "results");
  await mkdir(folder, { recursive: true });
  const plot = join(folder, "quota-use.svg");
  await writeFile(plot, drawUse(rows.filter((row) => row.quota in quotas)));
  console.log(`Drawn in ${plot}`);
  return Object.entries({ ...quotas, ...small }).flatMap(([name]) => figuresOf(name, rows));
}

async function measure(contender: Contender, quota: Quota, algorithm: Algorithm) {
  const upstream = await startUpstream(quota, algorithm);
  try {
    const end = await contender(upstream.url, quota, minutes);
    const from = performance.now();
    await sleep(minutes * 60_000);
    const use = useOf(upstream, quota, from, performance.now());
    await end();
    return use;
  } finally {
    await upstream.stop();
  }
}

function shown({ quota, upstream, who, calls, throttled, held, settled }: UseRow) {
  const percent = (share: number) => Number((share * 100).toFixed(1));
  return {
    quota,
    upstream,
    who,
    calls,
    "throttled %": percent(throttled),
    "held %": percent(held),
    "settled %": percent(settled),
  };
}

/** Over the three upstreams. */
function figuresOf(quota: string, rows: readonly UseRow[]): Figure[] {
  const own = rows.filter((row) => row.quota === quota && row.who === "Sluice");
  const isSmall = quota in small;
  return [
    {
      what: `${quota}: used (in flight + settled), over three upstreams`,
      unit: "% of the limit",
      ours: spreadOf(own.map((row) => row.held * 100)),
      ...(!isSmall && { goal: ">= 98" }),
    },
    {
      what: `${quota}: throttled, over three upstreams`,
      unit: "% of calls",
      ours: spreadOf(own.map((row) => row.throttled * 100)),
      goal: "0",
    },
  ];
}
