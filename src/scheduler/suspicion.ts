// Whose fault a refusal is, the job's or the deployment's. Pure; the rule is the same in redis/lua/shared/suspects.lua.
//
// A provider's words or status often do not tell. Other jobs do: a deployment that refuses one job and answers another
// is well, and one that refuses several jobs in a row is not.
//
//   a job, after a refusal:
//     clear   -> suspect    the deployment is blamed: it is accused, cools down, or goes out of service by the signal
//     suspect -> suspect    refused again, with no other job answered in between: blamed again
//     suspect -> suspect    refused again, though a deployment that refused it has answered another job since: a strike.
//                           From the first strike on its refusals are blamed on no deployment.
//     suspect -> rejected   one strike too many (see `strikes`). The caller fails the job with the provider's words.
//     suspect -> clear      it left the queue, or it was refused in another way
//
// A throttle is nobody's fault, and the job is never rejected. One that pauses the deployment, because no configured quota
// explains it, makes the job let others go first like a capacity error. One that closes a quota does so from the third time
// on, and no longer lowers the quota's limit. From its third strike on, it does not close the quota either.
//
//   a deployment, blamed by a refusal that is unclear (see deployment.ts):
//     trusted -> accused by 1 or 2 jobs -> out of service -> on trial -> trusted again with the first answer
//
// A suspect waits for a second before it is called again, and longer each time, up to a minute. It goes to a deployment
// of its model that has not refused it, if there is one in service. A deployment that is tried again after it was out of
// service is left to other jobs for a second; if there are none, suspects try it.
//
// Suspects are no part of the record. An emptied scheduler calls them once more, and learns the same.

/** A refusal that leaves open whose fault it was. */
export interface Refusal {
  /** `quota`: a throttle that configured quotas explain; `throttled`: one that they do not. */
  kind: "refused" | "misconfigured" | "capacity" | "throttled" | "quota";
  reason?: string;
  /** What the provider asks to wait, in milliseconds. */
  retryAfterMs?: number;
}

/** What is remembered of a job that was refused. */
export interface Suspect {
  kind: Refusal["kind"];
  /** The provider's last words. */
  reason: string;
  /** The deployment that refused it last. */
  deployment: string;
  /** By deployment: when the call was granted that it refused last. */
  refusedAt: Map<string, number>;
  /** How often it was refused. */
  times: number;
  /** Whether the provider asked for a long wait last: then others go first after it. Absent: it did not. */
  asksLong?: true;
  strikes: number;
}

/**
 * After how many strikes the job is rejected. Where the words are known to be the account's, or where the provider is
 * overloaded, chance may strike a job several times: then it takes more. Sixty take an hour at least.
 */
const strikesAllowed: Record<Refusal["kind"], number> = {
  refused: 1,
  misconfigured: 5,
  capacity: 60,
  throttled: Number.POSITIVE_INFINITY,
  quota: Number.POSITIVE_INFINITY,
};

/** Up to so many strikes its refusals count. Where a limit is shared, a quota strikes a job now and then. */
const strikesBlamed: Record<Refusal["kind"], number> = {
  refused: 0,
  misconfigured: 0,
  capacity: 0,
  throttled: Number.POSITIVE_INFINITY,
  quota: 2,
};
/** So often in a row a quota may refuse a job that keeps its place. */
const quotaRefusalsInPlace = 2;

/** Waits that providers ask for are long from here, in milliseconds. One job may not cost others two of them. */
const longAskedMs = 10_000;

const firstWaitMs = 1_000;
const longestWaitMs = 60_000;
/** How long a deployment on trial is left to jobs that it has not refused. */
export const leftToOthersMs = 1_000;
/** Jobs that a deployment refuses in a row, without an answer in between, before it is out of service. */
export const accusersAllowed = 3;

export interface Judgement {
  suspect: Suspect;
  /** Whether the refusal counts against the deployment. */
  blamed: boolean;
  /** Whether a throttle says more of a quota than the job's throttles before: then its limit is lowered. */
  isNews: boolean;
  rejected: boolean;
}

/**
 * @param before what is remembered of the job
 * @param deployment that refused it
 * @param grantedAt of the call that was refused
 * @param answeredAt for a deployment: when the latest call was granted that it answered
 */
export function judgeRefusal(
  before: Suspect | undefined,
  signal: Refusal,
  deployment: string,
  grantedAt: number,
  answeredAt: (deployment: string) => number,
): Judgement {
  const known = before?.kind === signal.kind ? before : undefined;
  const struck = known !== undefined && [...known.refusedAt].some(([id, at]) => answeredAt(id) >= at);
  const strikes = (known?.strikes ?? 0) + (struck ? 1 : 0);
  const suspect: Suspect = {
    kind: signal.kind,
    reason: signal.reason ?? "",
    deployment,
    refusedAt: new Map(struck ? [] : known?.refusedAt).set(deployment, grantedAt),
    times: (known?.times ?? 0) + 1,
    strikes,
    ...((signal.retryAfterMs ?? 0) >= longAskedMs && { asksLong: true }),
  };
  const blamed = strikes <= strikesBlamed[signal.kind];
  const isNews = suspect.times <= quotaRefusalsInPlace;
  return { suspect, blamed, isNews, rejected: strikes >= strikesAllowed[signal.kind] };
}

/**
 * How long a suspect waits before it is called again.
 * @param inService whether the deployment that refused it still is; if not, the deployment's own state holds it back
 * @param closedForMs how long the quotas of that deployment are closed
 */
export function suspectWaitMs(suspect: Suspect, inService: boolean, closedForMs: number): number {
  const { kind, times, strikes, asksLong } = suspect;
  if (kind === "quota") {
    const counted = Math.max(times - quotaRefusalsInPlace, asksLong ? 1 : 0);
    return counted > 0 ? closedForMs + backoff(counted) : 0;
  }
  const backoffMs = backoff(times);
  return strikes === 0 && (mayHitAnyJob(suspect) || !inService) ? 0 : backoffMs;
}

function backoff(times: number): number {
  return Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(16, times - 1));
}

/** The deployments that others of the same model are asked before; undefined if there are none. */
export function avoidedBy(suspect: Suspect | undefined): ReadonlyMap<string, number> | undefined {
  return suspect?.kind === "quota" ? undefined : suspect?.refusedAt;
}

/** Whether a deployment on trial is left to other jobs first. An overloaded one may refuse any job once. */
export function givesWay(suspect: Suspect | undefined, deployment: string): boolean {
  if (!suspect?.refusedAt.has(deployment) || suspect.kind === "quota") return false;
  return !mayHitAnyJob(suspect) || suspect.times > 1 || suspect.asksLong === true;
}

/** Whether the job may be at fault, for all that is known. A provider that is busy says nothing about it. */
export function mayBeAtFault({ kind }: Suspect): boolean {
  return kind === "refused" || kind === "misconfigured";
}

function mayHitAnyJob({ kind }: Suspect): boolean {
  return kind === "capacity" || kind === "throttled";
}
