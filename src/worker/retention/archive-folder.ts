// The archive: files of JSON lines, one for each environment and day on which jobs ended. Lines are on disk before the
// jobs are erased or removed. So after a crash a job may be there twice, and is never missing.
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { groupBy } from "../../domain/group-by.ts";
import { makeFolder } from "../../store/make-folder.ts";

export interface ArchivedJob {
  /** End of the job, in milliseconds since the epoch. */
  at: number;
  /** Returns the job as it is written. Called for one job at a time, because its texts may be large. */
  line: () => Promise<object>;
}

/** Bytes of a file's end that are searched for the last complete line. A longer incomplete line is searched further. */
const tailBytes = 64 * 1024;

export class ArchiveFolder {
  readonly #path: string;
  readonly #writer: string;

  /** @param writer name of the process, if several write to the folder: each then has files of its own */
  constructor(path: string, writer?: string) {
    this.#path = path;
    this.#writer = writer === undefined ? "" : `.${writer.replace(/[^A-Za-z0-9-]+/g, "-")}`;
  }

  /** Appends jobs of one environment. They are durable when it resolves. */
  async append(environment: string, jobs: readonly ArchivedJob[]): Promise<void> {
    makeFolder(this.#path);
    for (const [day, own] of groupBy(jobs, ({ at }) => new Date(at).toISOString().slice(0, 10))) {
      const file = await open(join(this.#path, `${environment}-${day}${this.#writer}.jsonl`), "a+", 0o600);
      try {
        const size = await cutIncompleteLine(file);
        for (const { line } of own) await file.appendFile(`${JSON.stringify(await line())}\n`);
        await file.sync();
        if (size === 0) await syncFolder(this.#path);
      } finally {
        await file.close();
      }
    }
  }
}

/** Removes what a killed process wrote of its last line. Returns the size of the file. */
async function cutIncompleteLine(file: FileHandle): Promise<number> {
  const { size } = await file.stat();
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - tailBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - from), 0, end - from, from);
    const last = buffer.subarray(0, bytesRead).lastIndexOf("\n");
    if (last < 0) {
      end = from;
      continue;
    }
    const complete = from + last + 1;
    if (complete < size) await file.truncate(complete);
    return complete;
  }
  if (size > 0) await file.truncate(0);
  return 0;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
