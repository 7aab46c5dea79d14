// Measures how long the store takes to answer, around any adapter.
import type { Clock } from "../domain/clock.ts";
import type { JobStore } from "./job-store.ts";
import type { RecordStore } from "./record-store.ts";
import type { UpkeepStore } from "./upkeep-store.ts";

/** Called when an operation has been answered, or has failed. The duration is in milliseconds. Must not throw. */
export type OnAnswer = (operation: string, ms: number, failed: boolean) => void;

/**
 * Returns the store with every operation measured, under the name of its method, such as `begin_attempt`. Operations on
 * records begin with `records_`, and those of retention with `upkeep_`. The bytes of files are not measured, because their time depends on their size.
 */
export function measuredStore(store: JobStore, clock: Pick<Clock, "now">, onAnswer: OnAnswer): JobStore {
  async function timed<T>(operation: string, startedAt: number, answer: Promise<T>): Promise<T> {
    let failed = true;
    try {
      const value = await answer;
      failed = false;
      return value;
    } finally {
      onAnswer(operation, clock.now() - startedAt, failed);
    }
  }

  const records: RecordStore = {
    insert: (...args) => timed("records_insert", clock.now(), store.records.insert(...args)),
    put: (...args) => timed("records_put", clock.now(), store.records.put(...args)),
    get: (...args) => timed("records_get", clock.now(), store.records.get(...args)),
    list: (...args) => timed("records_list", clock.now(), store.records.list(...args)),
    remove: (...args) => timed("records_remove", clock.now(), store.records.remove(...args)),
  };
  const upkeep: UpkeepStore = {
    ended: (...args) => timed("upkeep_ended", clock.now(), store.upkeep.ended(...args)),
    removeAttempts: (...args) => timed("upkeep_remove_attempts", clock.now(), store.upkeep.removeAttempts(...args)),
    removeUsage: (...args) => timed("upkeep_remove_usage", clock.now(), store.upkeep.removeUsage(...args)),
    size: (...args) => timed("upkeep_size", clock.now(), store.upkeep.size(...args)),
    reclaim: (...args) => timed("upkeep_reclaim", clock.now(), store.upkeep.reclaim(...args)),
  };
  return {
    records,
    blobs: store.blobs,
    upkeep,
    insertMany: (...args) => timed("insert_many", clock.now(), store.insertMany(...args)),
    get: (...args) => timed("get", clock.now(), store.get(...args)),
    getRequests: (...args) => timed("get_requests", clock.now(), store.getRequests(...args)),
    list: (...args) => timed("list", clock.now(), store.list(...args)),
    lines: (...args) => timed("lines", clock.now(), store.lines(...args)),
    countLines: (...args) => timed("count_lines", clock.now(), store.countLines(...args)),
    beginAttempt: (...args) => timed("begin_attempt", clock.now(), store.beginAttempt(...args)),
    endAttempt: (...args) => timed("end_attempt", clock.now(), store.endAttempt(...args)),
    finish: (...args) => timed("finish", clock.now(), store.finish(...args)),
    finishIdle: (...args) => timed("finish_idle", clock.now(), store.finishIdle(...args)),
    eraseTexts: (...args) => timed("erase_texts", clock.now(), store.eraseTexts(...args)),
    remove: (...args) => timed("remove", clock.now(), store.remove(...args)),
    update: (...args) => timed("update", clock.now(), store.update(...args)),
    unfinished: (...args) => timed("unfinished", clock.now(), store.unfinished(...args)),
    attemptsSince: (...args) => timed("attempts_since", clock.now(), store.attemptsSince(...args)),
    usage: (...args) => timed("usage", clock.now(), store.usage(...args)),
    counts: (...args) => timed("counts", clock.now(), store.counts(...args)),
    saveCheckpoint: (...args) => timed("save_checkpoint", clock.now(), store.saveCheckpoint(...args)),
    loadCheckpoint: (...args) => timed("load_checkpoint", clock.now(), store.loadCheckpoint(...args)),
    leftBehind: (...args) => timed("left_behind", clock.now(), store.leftBehind(...args)),
    ping: (...args) => timed("ping", clock.now(), store.ping(...args)),
    close: () => store.close(),
  };
}
