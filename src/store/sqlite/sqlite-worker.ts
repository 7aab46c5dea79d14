// Entry point of the store's two threads: one writes, one reads. The first message to the caller's side says whether
// the files are open. After that, each message is one request, and requests are answered in order. Writes that arrive
// during a commit share the next one, and the replies of a commit travel together.
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Opened, Read, Reply, ThreadData, Write } from "./protocol.ts";
import { Reader } from "./reader.ts";
import { failureOf } from "./sqlite-errors.ts";
import { Writer } from "./writer.ts";

const port = parentPort!;
const { role, dataDir, databases } = workerData as ThreadData;

interface Role {
  /** Answers the first requests, at least one. */
  handle(requests: readonly never[]): Reply[];
  close(): void;
}

/** How long erased texts may stay in a log, in milliseconds. Emptying a log makes writes wait for the disk. */
const emptyLogsMs = 5_000;

function writerRole(): Role {
  const writer = new Writer(dataDir, Object.values(databases));
  let timer: NodeJS.Timeout | undefined;
  const emptyLogsLater = () => {
    if (!writer.hasErased) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      writer.emptyLogs();
      emptyLogsLater();
    }, emptyLogsMs);
  };
  emptyLogsLater();
  return {
    handle(writes: readonly Write[]) {
      const replies = writer.commit(writes);
      emptyLogsLater();
      return replies;
    },
    close() {
      clearTimeout(timer);
      writer.close();
    },
  };
}

function readerRole(): Role {
  // The writer must create the files first; the reader gets no request before that.
  let reader: Reader | undefined;
  return {
    handle([read]: readonly Read[]) {
      try {
        reader ??= new Reader(dataDir, databases);
        return [{ answer: reader.answer(read!) }];
      } catch (error) {
        return [{ failure: failureOf(error, dataDir) }];
      }
    },
    close: () => reader?.close(),
  };
}

function serve(role: Role): void {
  const waiting: never[] = [];
  let closing = false;
  const receive = (message: never | "close") => {
    if (message === "close") closing = true;
    else waiting.push(message);
  };
  port.on("message", (first: never | "close") => {
    receive(first);
    while (waiting.length > 0) {
      for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port)) receive(more.message);
      const replies = role.handle(waiting);
      waiting.splice(0, replies.length);
      port.postMessage(replies);
    }
    if (closing) {
      role.close();
      port.close();
    }
  });
}

function report(opened: Opened): void {
  port.postMessage(opened);
}

try {
  serve(role === "writer" ? writerRole() : readerRole());
  report({ opened: true });
} catch (error) {
  // Without a listener on the port the thread ends here.
  report({ opened: false, message: (error as Error).message });
}
