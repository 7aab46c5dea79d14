// A process that uses a data folder, for the tests that kill it. What it prints is acknowledged.
//
//   hold    opens the store, prints "open" (or why it could not), and keeps it
//   write   inserts, begins and finishes jobs, many at a time, and prints what was acknowledged until it is killed
//   fill    inserts jobs of 100 KB until that fails, and prints each id; then the error's code and the id that failed
import { randomUUID } from "node:crypto";
import { SluiceError } from "../../src/domain/errors.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.ts";
import { beginning, makeJob } from "./conformance/support.ts";

const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };
const [task, dataDir] = process.argv.slice(2);
// Beyond `ulimit -f` a write then fails, in place of killing the process.
process.on("SIGXFSZ", () => {});

/** Pipes are written to at once (on POSIX), and a line is less than what the system writes whole or not at all. */
function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const store = await openSqliteStore({ dataDir: dataDir!, environments }).catch((error: Error) => {
  print(error.message);
  process.exit(1);
});
print("open");

async function write(environment: string): Promise<never> {
  for (;;) {
    const job = makeJob({ environment });
    await store.insertMany([job]);
    print(`inserted ${job.id}`);
    await store.beginAttempt(beginning(job));
    print(`begun ${job.id}`);
    const text = `An answer for ${job.id}.`;
    await store.finish(environment, { jobId: job.id, status: "completed", at: 1, text });
    print(`finished ${job.id}`);
  }
}

async function fill(): Promise<void> {
  const text = randomUUID().repeat(2_800);
  for (;;) {
    const job = makeJob();
    job.request.messages[0]!.content = [{ type: "text", text }];
    try {
      await store.insertMany([job]);
      print(job.id);
    } catch (error) {
      print(error instanceof SluiceError ? error.code : String(error));
      print(job.id);
      return;
    }
  }
}

if (task === "write") for (let i = 0; i < 40; i++) void write(i % 2 ? "UAT" : "PROD");
if (task === "fill") await fill();
