// A process that removes old data while it accepts jobs, for the test that kills it. What it prints has happened. It is
// JavaScript, because Node runs it as it is.
//
//   accepted ID     the job is stored
//   removed COUNT   so many were erased or removed in one step
//   idle            a round found nothing to do
import { resolve } from "../../dist/config/resolve.js";
import { systemClock } from "../../dist/domain/clock.js";
import { newJobId } from "../../dist/domain/ids.js";
import { continueDeletion, openDeletions } from "../../dist/jobs/batches/delete-batch.js";
import { openMongoStore } from "../../dist/store/mongo/mongo-store.js";
import { openSqliteStore } from "../../dist/store/sqlite/sqlite-store.js";
import { archivedJob } from "../../dist/wire/archived-job.js";
import { ArchiveFolder } from "../../dist/worker/retention/archive-folder.js";
import { RetentionRounds } from "../../dist/worker/retention/retention-round.js";

const { sqlite, mongo, archive, retention, template } = JSON.parse(process.argv[2]);
const print = (line) => process.stdout.write(`${line}\n`);
const store = sqlite ? await openSqliteStore(sqlite) : await openMongoStore(mongo);
const { settings } = resolve({ retention });
const log = { warn() {}, info() {}, debug() {}, error() {} };
let removed = 0;
const context = {
  store,
  clock: systemClock,
  settings,
  log,
  proceed: () => new Promise((done) => setTimeout(done, 1)),
  async archive(environment, records) {
    const lines = records.map((record) => ({ at: record.outcome.at, line: async () => archivedJob(record) }));
    await new ArchiveFolder(archive, sqlite ? undefined : `${process.pid}`).append(environment, lines);
  },
  removed(_environment, _kind, count) {
    removed += count;
    print(`removed ${count}`);
  },
};
const rounds = new RetentionRounds(context);

async function accept() {
  for (;;) {
    const job = { ...template, id: newJobId(), submittedAt: Date.now() };
    await store.insertMany([job]);
    print(`accepted ${job.id}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function remove() {
  for (;;) {
    removed = 0;
    await rounds.run("UAT");
    for (const id of await openDeletions(context, "UAT")) {
      removed += 1;
      await continueDeletion(context, "UAT", id, async () => true);
    }
    await store.upkeep.reclaim();
    if (removed === 0) print("idle");
    await new Promise((done) => setTimeout(done, 5));
  }
}

await Promise.all([accept(), remove()]);
