// Decides whose fault a refusal is: the job's or the deployment's. Pure; redis/lua/shared/suspects.lua implements the
// same rule.
//
// A provider's message or status often does not say. Other jobs do: a deployment that refuses one job and answers
// another works, and one that refuses several jobs in a row does not.
//
//   a job, after a refusal:
//     clear   -> suspect    the deployment is blamed: it is accused, cools down, or leaves service, by the signal
//     suspect -> suspect    refused again, with no other job answered in between: the deployment is blamed again
//     suspect -> suspect    refused again, though a deployment that refused it has since answered another job: a
//                           strike. From the first strike on, no deployment is blamed for its refusals.
//     suspect -> rejected   one strike too many (see `strikesAllowed`). The caller fails the job with the provider's
//                           message.
//     suspect -> clear      it left the queue, or it was refused in another way
//
// A throttle is neither side's fault, and the job is never rejected for it. If no configured quota explains the
// throttle, the deployment pauses and the job lets others go first, as after a capacity error. If a quota closes, the
// job does so from the third time on, and no longer lowers the quota's limit. From its third strike on, it does not
// close the quota either.
//
//   a deployment, blamed by a refusal that is unclear (see deployment.ts):
//     trusted -> accused by 1 or 2 jobs -> out of service -> on trial -> trusted again with the first answer
//
// A suspect waits for a second before it is called again, and longer each time, up to a minute. It goes to a deployment
// of its model that has not refused it, if one is in service. A deployment that is tried again after it was out of
// service is left to other jobs for a second. If there are none, suspects try it.
//
// Suspects are not stored. An emptied scheduler calls them once more and learns the same.

/** A refusal that does not say whose fault it was. */
export interface Refusal {
  /** `quota`: a throttle that configured quotas explain. `throttled`: one that they do not explain. */
  kind: "refused" | "misconfigured" | "capacity" | "throttled" | "quota";
  reason?: string;
  /** The provider's Retry-After, in milliseconds. */
  retryAfterMs?: number;
}

/** What is known of a job that was refused. */
export interface Suspect {
  kind: Refusal["kind"];
  /** The provider's latest message. */
  reason: string;
  /** The deployment that refused the job last. */
  deployment: string;
  /** Grant time of the latest refused call, by deployment. */
  refusedAt: Map<string, number>;
  /** How many times the job was refused. */
  times: number;
  /** Set if the provider's latest Retry-After was long. Other jobs then go first after it. Absent: it was not. */
  asksLong?: true;
  strikes: number;
}

/**
 * Strikes after which the job is rejected. If the message points to the account, or the provider is overloaded, chance
 * may strike a job several times, so more are allowed. Sixty take at least an hour.
 */
const strikesAllowed: Record<Refusal["kind"], number> = {
  refused: 1,
  misconfigured: 5,
  capacity: 60,
  throttled: Number.POSITIVE_INFINITY,
  quota: Number.POSITIVE_INFINITY,
};

/**
 * Strikes up to which a job's refusals count against the deployment. On a shared limit, a quota strikes a job now and
 * then.
 */
const strikesBlamed: Record<Refusal["kind"], number> = {
  refused: 0,
  misconfigured: 0,
  capacity: 0,
  throttled: Number.POSITIVE_INFINITY,
  quota: 2,
};
/** Consecutive refusals by a quota after which the job still keeps its queue position. */
const quotaRefusalsInPlace = 2;

/** A Retry-After from this length on is long, in milliseconds. One job may not cost others two such waits. */
const longRetryAfterMs = 10_000;

const firstWaitMs = 1_000;
const longestWaitMs = 60_000;
/** How long a deployment on trial is left to jobs that it has not refused, in milliseconds. */
export const leftToOthersMs = 1_000;
/** Jobs that a deployment refuses in a row, without an answer in between, before it is out of service. */
export const accusersAllowed = 3;

export interface Judgement {
  suspect: Suspect;
  /** Whether the refusal counts against the deployment. */
  blamed: boolean;
  /** Whether a throttle shows more about a quota than the job's earlier throttles; only then its limit is lowered. */
  isNews: boolean;
  rejected: boolean;
}

/**
 * Judges a refusal and returns the job's new state.
 * @param before what is known of the job
 * @param deployment the deployment that refused it
 * @param grantedAt when the refused call was granted
 * @param answeredAt returns the grant time of a deployment's latest answered call
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
    ...((signal.retryAfterMs ?? 0) >= longRetryAfterMs && { asksLong: true }),
  };
  const blamed = strikes <= strikesBlamed[signal.kind];
  const isNews = suspect.times <= quotaRefusalsInPlace;
  return { suspect, blamed, isNews, rejected: strikes >= strikesAllowed[signal.kind] };
}

/**
 * Returns how long a suspect waits before it is called again, in milliseconds.
 * @param inService whether the deployment that refused it is in service; if not, that already delays the job
 * @param closedForMs how long the quotas of that deployment stay closed, in milliseconds
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

/** Returns the deployments that the job tries last because they refused it; undefined if there are none. */
export function avoidedBy(suspect: Suspect | undefined): ReadonlyMap<string, number> | undefined {
  return suspect?.kind === "quota" ? undefined : suspect?.refusedAt;
}

/** Whether a deployment on trial is left to other jobs first. An overloaded deployment may refuse any job once. */
export function givesWay(suspect: Suspect | undefined, deployment: string): boolean {
  if (!suspect?.refusedAt.has(deployment) || suspect.kind === "quota") return false;
  return !mayHitAnyJob(suspect) || suspect.times > 1 || suspect.asksLong === true;
}

/** Whether the job may be at fault. A busy provider says nothing about the job. */
export function mayBeAtFault({ kind }: Suspect): boolean {
  return kind === "refused" || kind === "misconfigured";
}

function mayHitAnyJob({ kind }: Suspect): boolean {
  return kind === "capacity" || kind === "throttled";
}
