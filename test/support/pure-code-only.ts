// Holds the rule of the unit project: its tests open no socket and start no thread and no process, because they share
// their modules. A test that needs one belongs to the service project (`*.test.ts`).
import childProcess, { ChildProcess } from "node:child_process";
import { Server, Socket } from "node:net";

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
