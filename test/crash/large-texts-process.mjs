// A process that writes, ends, erases and removes jobs with large texts, for the test that kills it. It is JavaScript,
// because Node runs it as it is. A line that it prints has happened, except `erasing` and `removing`, which begin.
//
//   inserted ID | finished ID | erasing ID | removing ID
import { newJobId } from "../../dist/domain/ids.js";
import { withLargeTexts } from "../../dist/store/large-texts.js";
import { openMongoStore } from "../../dist/store/mongo/mongo-store.js";
import { openSqliteStore } from "../../dist/store/sqlite/sqlite-store.js";

const { sqlite, mongo, template } = JSON.parse(process.argv[2]);
const print = (line) => process.stdout.write(`${line}\n`);
const inner = sqlite ? await openSqliteStore(sqlite) : await openMongoStore(mongo);
const store = withLargeTexts(inner, { clock: { wall: Date.now }, environments: ["UAT", "PROD"] });
const textOf = (id, what) => `${what} ${id} `.repeat(8_000);

async function live() {
  for (let n = 0; ; n++) {
    const id = newJobId();
    const content = [{ type: "text", text: textOf(id, "request") }];
    const request = { messages: [{ role: "user", content }], parameters: { maxTokens: 1 } };
    await store.insertMany([{ ...template, id, request }]);
    print(`inserted ${id}`);
    await store.finish("UAT", {
      ...{ jobId: id, status: "completed", at: 1, text: "short", attempt: 1 },
      native: { body: textOf(id, "answer") },
    });
    print(`finished ${id}`);
    if (n % 3 === 0) {
      print(`erasing ${id}`);
      await store.eraseTexts("UAT", id);
    } else if (n % 3 === 1) {
      print(`removing ${id}`);
      await store.remove("UAT", id);
    }
  }
}

await Promise.all([live(), live(), live()]);
