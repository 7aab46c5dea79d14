// A process that uses a data folder, for the tests that kill it. What it prints is acknowledged. It is JavaScript, because
// Node runs it as it is.
//
//   hold    opens the store, prints "open" (or why it could not), and keeps it
//   write   inserts, begins and finishes jobs, many at a time, and prints what was acknowledged until it is killed
//   pairs   inserts the nth job of UAT, then saves n as a checkpoint, then inserts the nth job of PROD, until it is killed
//   fill    inserts jobs of 100 KB until that fails, and prints each id; then the error's code and the id that failed
import { randomUUID } from "node:crypto";
import { SluiceError } from "../../dist/domain/errors.js";
import { newJobId } from "../../dist/domain/ids.js";
import { openSqliteStore } from "../../dist/store/sqlite/sqlite-store.js";

const environments = { UAT: { database: "SSP-dev" }, PROD: { database: "SSP-prod" } };
const [task, dataDir] = process.argv.slice(2);
// Beyond `ulimit -f` a write then fails, in place of killing the process.
process.on("SIGXFSZ", () => {});

/** Prints a line. Pipes are written synchronously on POSIX, and a short line is written whole or not at all. */
function print(line) {
  process.stdout.write(`${line}\n`);
}

const store = await openSqliteStore({ dataDir, environments }).catch((error) => {
  print(error.message);
  process.exit(1);
});
print("open");

const submittedAt = Date.UTC(2026, 0, 1);
const reserved = { input: 21, output: 100 };

function makeJob(environment, text) {
  const request = { messages: [{ role: "user", content: [{ type: "text", text }] }], parameters: { maxTokens: 100 } };
  const fields = { tenant: "default", priority: "standard", model: "llama", fallbackModels: [], onUnknown: "retry" };
  return { id: newJobId(), environment, ...fields, tokens: reserved, submittedAt, request };
}

async function write(environment) {
  for (;;) {
    const { id, ...job } = makeJob(environment, "Write a line about sluices.");
    await store.insertMany([{ id, ...job }]);
    print(`inserted ${id}`);
    await store.beginAttempt({
      environment,
      jobId: id,
      grant: randomUUID(),
      deployment: "bedrock/us-east-1/some-model",
      model: job.model,
      worker: "worker-1",
      chargedAt: submittedAt,
      reserved,
      maxFailedTries: 3,
    });
    print(`begun ${id}`);
    await store.finish(environment, { jobId: id, status: "completed", at: 1, text: `An answer for ${id}.` });
    print(`finished ${id}`);
  }
}

async function pairs() {
  for (let n = 1; ; n++) {
    await store.insertMany([makeJob("UAT", "Write a line about sluices.")]);
    await store.saveCheckpoint("pairs", n);
    await store.insertMany([makeJob("PROD", "Write a line about sluices.")]);
    if (n === 1) print("first");
  }
}

async function fill() {
  const text = randomUUID().repeat(2_800);
  for (;;) {
    const job = makeJob("UAT", text);
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
if (task === "pairs") await pairs();
if (task === "fill") await fill();
