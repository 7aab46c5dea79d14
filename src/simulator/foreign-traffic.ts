// Other programs of the same account, which draw on the same quotas and which nobody here knows of: calls at an even
// pace. One that the quotas refuse is dropped, and the next comes at its own time.
//
// Pure: calls come about when somebody looks, at the times at which they were due.

export interface ForeignLoad {
  /** Between two requests. */
  intervalMs: number;
  /** Quota tokens that each request is charged with at once. Default 0. */
  tokensPerRequest?: number;
  /** When it begins and ends, in ms of the quotas' clock. Default: always, from 0 on. */
  fromMs?: number;
  untilMs?: number;
}

export interface ForeignStats {
  admitted: number;
  refused: number;
  /** Of the admitted requests. */
  tokens: number;
}

export interface ForeignTraffic {
  /** Offers each request that is due by now, in order; `take` says whether it was admitted. */
  advance(now: number, take: (at: number, tokens: number) => boolean): void;
  stats(): ForeignStats;
}

export function createForeignTraffic(loads: readonly ForeignLoad[]): ForeignTraffic {
  const streams = loads.map((load) => ({
    tokens: load.tokensPerRequest ?? 0,
    from: load.fromMs ?? 0,
    until: load.untilMs ?? Number.POSITIVE_INFINITY,
    intervalMs: load.intervalMs,
    // Counted, because adding up intervals would add up their rounding too.
    sent: 0,
  }));
  const due = (stream: (typeof streams)[number]) => stream.from + stream.sent * stream.intervalMs;
  const stats: ForeignStats = { admitted: 0, refused: 0, tokens: 0 };

  const next = (now: number) => {
    let earliest: (typeof streams)[number] | undefined;
    for (const stream of streams) {
      const at = due(stream);
      if (at <= now && at < stream.until && (!earliest || at < due(earliest))) earliest = stream;
    }
    return earliest;
  };

  return {
    advance(now, take) {
      for (let stream = next(now); stream; stream = next(now)) {
        const at = due(stream);
        stream.sent++;
        if (take(at, stream.tokens)) {
          stats.admitted++;
          stats.tokens += stream.tokens;
        } else stats.refused++;
      }
    },
    stats: () => ({ ...stats }),
  };
}
