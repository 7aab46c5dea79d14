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
  function timed<T>(operation: string, run: () => Promise<T>): Promise<T> {
    const startedAt = clock.now();
    const answer = run();
    answer.then(
      () => onAnswer(operation, clock.now() - startedAt, false),
      () => onAnswer(operation, clock.now() - startedAt, true),
    );
    return answer;
  }

  const records: RecordStore = {
    insert: (...args) => timed("records_insert", () => store.records.insert(...args)),
    put: (...args) => timed("records_put", () => store.records.put(...args)),
    get: (...args) => timed("records_get", () => store.records.get(...args)),
    list: (...args) => timed("records_list", () => store.records.list(...args)),
    remove: (...args) => timed("records_remove", () => store.records.remove(...args)),
  };
  const upkeep: UpkeepStore = {
    ended: (...args) => timed("upkeep_ended", () => store.upkeep.ended(...args)),
    removeAttempts: (...args) => timed("upkeep_remove_attempts", () => store.upkeep.removeAttempts(...args)),
    removeUsage: (...args) => timed("upkeep_remove_usage", () => store.upkeep.removeUsage(...args)),
    size: (...args) => timed("upkeep_size", () => store.upkeep.size(...args)),
    reclaim: (...args) => timed("upkeep_reclaim", () => store.upkeep.reclaim(...args)),
  };
  return {
    records,
    blobs: store.blobs,
    upkeep,
    insertMany: (...args) => timed("insert_many", () => store.insertMany(...args)),
    get: (...args) => timed("get", () => store.get(...args)),
    getRequests: (...args) => timed("get_requests", () => store.getRequests(...args)),
    list: (...args) => timed("list", () => store.list(...args)),
    lines: (...args) => timed("lines", () => store.lines(...args)),
    countLines: (...args) => timed("count_lines", () => store.countLines(...args)),
    beginAttempt: (...args) => timed("begin_attempt", () => store.beginAttempt(...args)),
    endAttempt: (...args) => timed("end_attempt", () => store.endAttempt(...args)),
    finish: (...args) => timed("finish", () => store.finish(...args)),
    finishIdle: (...args) => timed("finish_idle", () => store.finishIdle(...args)),
    eraseTexts: (...args) => timed("erase_texts", () => store.eraseTexts(...args)),
    remove: (...args) => timed("remove", () => store.remove(...args)),
    update: (...args) => timed("update", () => store.update(...args)),
    unfinished: (...args) => timed("unfinished", () => store.unfinished(...args)),
    attemptsSince: (...args) => timed("attempts_since", () => store.attemptsSince(...args)),
    usage: (...args) => timed("usage", () => store.usage(...args)),
    counts: (...args) => timed("counts", () => store.counts(...args)),
    saveCheckpoint: (...args) => timed("save_checkpoint", () => store.saveCheckpoint(...args)),
    loadCheckpoint: (...args) => timed("load_checkpoint", () => store.loadCheckpoint(...args)),
    leftBehind: (...args) => timed("left_behind", () => store.leftBehind(...args)),
    ping: (...args) => timed("ping", () => store.ping(...args)),
    close: () => store.close(),
  };
}
