// Jobs that are laid ready: tables of a file of its own beside the database, attached to the same connection, so that
// making them real is two statements for as many rows as one likes and no value passes through JavaScript again. A row
// takes 2.7 us to lay ready and 6.5 us to make real; inserted as it is it takes 9.4 us, all of them when others wait.
//
// Nothing in the file is worth anything after a crash, so nothing waits for the disk. It exists while there are stages.
import { rmSync } from "node:fs";
import type { Database, Statement } from "./driver.ts";
import { createPrivately } from "./permissions.ts";
import type { Write } from "./protocol.ts";
import { newJobColumns, stagedColumns } from "./rows.ts";

type StageWrite<K extends Write["kind"]> = Extract<Write, { kind: K }>;

const rowsAtOnce = 100;
const width = stagedColumns.length;

interface Stage {
  addMany: Statement;
  addOne: Statement;
  known: Statement;
  insertJobs: Statement;
  insertRequests: Statement;
}

export class Stages {
  readonly #db: Database;
  readonly #path: string;
  readonly #stages = new Map<number, Stage>();
  /** Those that the open transaction has created. */
  #created: number[] = [];
  #attached = false;

  /** @param path of the file; one that a process left behind when it died is removed */
  constructor(db: Database, path: string) {
    this.#db = db;
    this.#path = path;
    this.#removeFile();
  }

  /** To be called before BEGIN, because nothing can be attached after it. */
  attachFor(writes: readonly Write[]): void {
    this.#created = [];
    if (this.#attached || !writes.some(({ kind }) => kind === "stage")) return;
    createPrivately(this.#path);
    this.#db.prepare("ATTACH ? AS staged").run(this.#path);
    this.#attached = true;
    this.#db.exec(`
      PRAGMA staged.journal_mode = MEMORY;
      PRAGMA staged.synchronous = OFF;
      PRAGMA staged.secure_delete = OFF;
    `);
  }

  /** To be called after ROLLBACK. */
  forgetCreated(): void {
    for (const number of this.#created) this.#stages.delete(number);
    this.#created = [];
  }

  /** To be called when no transaction is open. */
  detachIfEmpty(): void {
    if (!this.#attached || this.#stages.size > 0) return;
    this.#db.exec("DETACH staged");
    this.#attached = false;
    this.#removeFile();
  }

  add({ stage, values }: StageWrite<"stage">): undefined {
    const { addMany, addOne } = this.#stages.get(stage) ?? this.#create(stage);
    const whole = values.length - (values.length % (rowsAtOnce * width));
    for (let from = 0; from < whole; from += rowsAtOnce * width) {
      addMany.run(...values.slice(from, from + rowsAtOnce * width));
    }
    for (let from = whole; from < values.length; from += width) addOne.run(...values.slice(from, from + width));
    return undefined;
  }

  /** @returns the ids of the jobs that were there already */
  insert({ stage, from, to }: StageWrite<"insertStaged">): string[] {
    const { known, insertJobs, insertRequests } = this.#stages.get(stage)!;
    const areNew = Number(insertJobs.run(from, to).changes) === to - from;
    // A job and its request come together, so a request that is there belongs to a job that was.
    const ids = areNew ? [] : known.all(from, to).map((row) => row.job_id as string);
    insertRequests.run(from, to);
    return ids;
  }

  drop({ stage }: StageWrite<"dropStage">): undefined {
    this.#stages.delete(stage);
    // The last one goes with its file.
    if (this.#attached && this.#stages.size > 0) this.#db.exec(`DROP TABLE IF EXISTS staged.stage_${stage}`);
    return undefined;
  }

  /** To be called when the connection is closed. */
  removeFile(): void {
    if (this.#attached) this.#removeFile();
  }

  #create(number: number): Stage {
    const table = `staged.stage_${number}`;
    this.#db.exec(`CREATE TABLE ${table} (n INTEGER PRIMARY KEY, ${stagedColumns.join(", ")})`);
    const row = `(${stagedColumns.map(() => "?").join(", ")})`;
    const add = `INSERT INTO ${table} (${stagedColumns.join(", ")}) VALUES`;
    const rows = `FROM ${table} WHERE n >= ? AND n < ?`;
    const stage: Stage = {
      addMany: this.#db.prepare(`${add} ${new Array<string>(rowsAtOnce).fill(row).join(", ")}`),
      addOne: this.#db.prepare(`${add} ${row}`),
      known: this.#db.prepare(`SELECT job_id ${rows} AND job_id IN (SELECT job_id FROM requests) ORDER BY n`),
      insertJobs: this.#db.prepare(
        `INSERT INTO jobs (status, ${newJobColumns.join(", ")})
         SELECT 'queued', ${newJobColumns.join(", ")} ${rows} ORDER BY n ON CONFLICT DO NOTHING`,
      ),
      insertRequests: this.#db.prepare(
        `INSERT INTO requests (job_id, request) SELECT job_id, request ${rows} ORDER BY n ON CONFLICT DO NOTHING`,
      ),
    };
    this.#stages.set(number, stage);
    this.#created.push(number);
    return stage;
  }

  #removeFile(): void {
    for (const ending of ["", "-journal"]) rmSync(this.#path + ending, { force: true });
  }
}
