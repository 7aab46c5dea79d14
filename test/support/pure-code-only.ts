// Holds the rule of the unit project: its tests open no socket and start no thread and no process, because they share
// their modules. A test that needs one belongs to the service project (`*.test.ts`).
import childProcess, { ChildProcess } from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import { Server, Socket } from "node:net";
import workerThreads from "node:worker_threads";

function forbid(what: string): () => never {
  return () => {
    throw new Error(`A unit test must not ${what}. Rename its file from *.unit.test.ts to *.test.ts.`);
  };
}

Socket.prototype.connect = forbid("open a socket");
Server.prototype.listen = forbid("listen on a socket");
(ChildProcess as unknown as { prototype: { spawn: unknown } }).prototype.spawn = forbid("start a process");
childProcess.spawnSync = forbid("start a process");
childProcess.execFileSync = forbid("start a process");
workerThreads.Worker = class {
  constructor() {
    forbid("start a thread")();
  }
} as unknown as typeof workerThreads.Worker;
syncBuiltinESMExports();
