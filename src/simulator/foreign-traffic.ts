// Simulates other programs of the same account, which use the same quotas and are unknown to the caller: calls at an
// even pace. A call that the quotas refuse is dropped, and the next comes at its own time.
//
// Pure: calls are made up when the quotas are read, at the times at which they were due.

/** The requests of one other program. */
export interface ForeignLoad {
  /** Time between two requests, in milliseconds. */
  intervalMs: number;
  /** Quota tokens that each request is charged at once. Default 0. */
  tokensPerRequest?: number;
  /** Begin, in milliseconds of the quotas' clock. Default 0. */
  fromMs?: number;
  /** End, in milliseconds of the quotas' clock. Default: never. */
  untilMs?: number;
}

/** What other programs' requests have used. */
export interface ForeignStats {
  admitted: number;
  refused: number;
  /** Tokens of the admitted requests. */
  tokens: number;
}

/** The requests of all other programs. */
export interface ForeignTraffic {
  /** Offers each request that is due by now, in order. `take` returns whether it was admitted. */
  advance(now: number, take: (at: number, tokens: number) => boolean): void;
  stats(): ForeignStats;
}

export function createForeignTraffic(loads: readonly ForeignLoad[]): ForeignTraffic {
  const streams = loads.map((load) => ({
    tokens: load.tokensPerRequest ?? 0,
    from: load.fromMs ?? 0,
    until: load.untilMs ?? Number.POSITIVE_INFINITY,
    intervalMs: load.intervalMs,
    // Counts requests, because adding up intervals would also add up rounding errors.
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
