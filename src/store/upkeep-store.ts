// The port to what old data takes: which jobs ended before a time, and how attempts, sums of usage and free space go.
// Jobs themselves are erased and removed by the JobStore. Every operation is one bounded step, which never makes a write
// wait for long, and may be repeated. Every adapter passes test/store/conformance/upkeep.ts.
import type { JobHead } from "../domain/job.ts";
import type { Page } from "./cursor.ts";

export interface UpkeepStore {
  /**
   * Returns a page of the jobs that ended before a time, in the order of (finishedAt, id). In MongoDB, a job whose end
   * was interrupted by a crash appears once its end is complete, even if its time is earlier.
   */
  ended(query: EndedQuery): Promise<Page<EndedJob>>;

  /**
   * Examines a page of attempts in the order of their charges, and removes those of jobs that have ended or are removed.
   * All attempts of a job go together, once the last one was charged before the time. Usage stays as it is.
   */
  removeAttempts(query: OldAttemptsQuery): Promise<RemovedAttempts>;

  /** Removes sums of usage up to a day. Returns the number of removed rows. */
  removeUsage(query: OldUsageQuery): Promise<number>;

  /** Returns the space that the store takes. */
  size(): Promise<StoreSize>;

  /**
   * Returns some free space to the file system: at most 256 KiB of each database, which takes a few milliseconds. A few
   * seconds later, no log holds what was removed before the call.
   * @returns bytes that a later call can return. 0 if there are none, or if the server reuses space by itself
   */
  reclaim(): Promise<number>;
}

export interface EndedQuery {
  environment: string;
  /** Earliest end, included, in milliseconds since the epoch. Default: the first. */
  finishedFrom?: number;
  /** Latest end, not included, in milliseconds since the epoch. */
  finishedTo: number;
  /** Largest number of results, from 1 to 1,000. */
  limit: number;
  cursor?: string | undefined;
}

/** A job that has ended, without its request and answer. */
export interface EndedJob {
  job: JobHead;
  /** Milliseconds since the epoch. */
  finishedAt: number;
}

/** Which tenants an operation is for. */
export type TenantFilter = { only: readonly string[] } | { except: readonly string[] };

export function includesTenant(filter: TenantFilter, tenant: string): boolean {
  return "only" in filter ? filter.only.includes(tenant) : !filter.except.includes(tenant);
}

export interface OldAttemptsQuery {
  environment: string;
  tenants: TenantFilter;
  /** Latest charge, not included, in milliseconds since the epoch. */
  chargedTo: number;
  /** Largest number of attempts to examine, from 1 to 1,000. */
  limit: number;
  cursor?: string | undefined;
}

export interface RemovedAttempts {
  removed: number;
  /** Cursor of the next page. Absent if all attempts before the time were examined. */
  next?: string;
}

export interface OldUsageQuery {
  environment: string;
  tenants: TenantFilter;
  /** Last day, included, in whole UTC days since 1970. */
  toDay: number;
}

export interface StoreSize {
  /** Bytes on disk: databases, logs and files. */
  bytes: number;
  /** The part of `bytes` that holds nothing and is used again before the store grows. */
  freeBytes: number;
  /** Names of databases whose files cannot shrink, because an earlier version created them. */
  fixed: string[];
}

/** The first day on which any version wrote usage: 2026-01-01, in whole UTC days since 1970. */
export const firstUsageDay = 20_454;
