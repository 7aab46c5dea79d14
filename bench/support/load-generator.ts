// The process behind http-load.ts: sends one request repeatedly over raw HTTP/1.1 and reports rates and latencies.
// Node's client and autocannon need about as much CPU time for a request as the server. On two cores, the server's
// threads would wait for their own load.
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Load, Loaded } from "./http-load.ts";

/** Maximum time between two checks of the sockets, in milliseconds. */
const longestSleepMs = 0.1;
// By default, Linux may end a sleep 50 us late to save wake-ups. This sets 1 us.
if (process.platform === "linux") writeFileSync("/proc/self/timerslack_ns", "1000");
/** Connections that an open loop opens before it starts. To open one costs the server as much as some requests. */
const openConnections = 64;
/** Maximum number of connections of an open loop. Further requests wait, and their wait counts as latency. */
const maxConnections = 256;
/** Time at the start of an open loop that is not measured, in seconds. */
const startS = 0.3;
const never = new Int32Array(new SharedArrayBuffer(4));

/** A connection with at most one request under way. */
class Connection {
  readonly #socket: Socket;
  readonly #onAnswer: (connection: Connection, since: number) => void;
  #since = 0;
  #received = "";

  constructor(port: number, onAnswer: (connection: Connection, since: number) => void) {
    this.#onAnswer = onAnswer;
    const callback = (bytes: number, buffer: Uint8Array) => this.#receive(buffer as Buffer, bytes);
    this.#socket = connect({ host: "127.0.0.1", port, onread: { buffer: Buffer.alloc(16_384), callback } });
    this.#socket.setNoDelay(true);
    this.#socket.once("error", fail);
  }

  /** @param since when the request was due */
  send(request: Buffer, since: number): void {
    this.#since = since;
    this.#socket.write(request);
  }

  async connected(): Promise<void> {
    if (this.#socket.connecting) await once(this.#socket, "connect");
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(buffer: Buffer, bytes: number): boolean {
    this.#received += buffer.toString("latin1", 0, bytes);
    const headEnd = this.#received.indexOf("\r\n\r\n");
    if (headEnd < 0) return true;
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#received);
    if (!this.#received.startsWith("HTTP/1.1 200 ") || !length) fail(new Error(`answered ${this.#received}`));
    else if (this.#received.length === headEnd + 4 + Number(length[1])) {
      this.#received = "";
      this.#onAnswer(this, this.#since);
    }
    return true;
  }
}

function fail(error: Error): void {
  console.error(`A request failed: ${error.message}`);
  process.exit(1);
}

async function run(load: Load): Promise<Loaded> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const { latencies, lateness } = await ("rate" in load ? openLoop(load) : closedLoop(load));
  const elapsedMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  const sorted = (values: number[]) => values.sort((a, b) => a - b);
  return {
    perS: (latencies.length * 1000) / elapsedMs,
    latencies: sorted(latencies),
    lateness: sorted(lateness),
    cpuUs: (user + system) / latencies.length,
  };
}

interface Times {
  latencies: number[];
  lateness: number[];
}

/** Sends from connections that each send their next request when the last one is answered. */
async function closedLoop({ url, body, connections, durationS, amount }: Load & { connections: number }) {
  const { port, request } = requestOf(url, body);
  const times: Times = { latencies: [], lateness: [] };
  const end = durationS === undefined ? Number.POSITIVE_INFINITY : performance.now() + durationS * 1000;
  let unsent = amount ?? Number.POSITIVE_INFINITY;
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve) => {
          const next = (connection: Connection, now: number) => {
            if (unsent-- > 0 && now < end) return connection.send(request, now);
            connection.close();
            resolve();
          };
          const onAnswer = (connection: Connection, since: number) => {
            const now = performance.now();
            times.latencies.push(now - since);
            next(connection, now);
          };
          next(new Connection(port, onAnswer), performance.now());
        }),
    ),
  );
  return times;
}

/** Sends at a fixed rate. A slow answer delays no later request, so it shows in full. */
async function openLoop({ url, body, rate, durationS }: Load & { rate: number }): Promise<Times> {
  const { port, request } = requestOf(url, body);
  const total = Math.floor(rate * (startS + durationS!));
  const times: Times = { latencies: [], lateness: [] };
  const idle: Connection[] = [];
  const unsent: number[] = [];
  let measureFrom = 0;
  let answered = 0;
  let resolve = () => {};
  const ended = new Promise<void>((end) => {
    resolve = end;
  });
  const onAnswer = (connection: Connection, since: number) => {
    if (since >= measureFrom) times.latencies.push(performance.now() - since);
    const due = unsent.shift();
    if (due === undefined) idle.push(connection);
    else connection.send(request, due);
    if (++answered === total) resolve();
  };
  const connections = Array.from({ length: openConnections }, () => new Connection(port, onAnswer));
  await Promise.all(connections.map((connection) => connection.connected()));
  idle.push(...connections);
  const send = (due: number) => {
    let connection = idle.pop();
    if (!connection && connections.length < maxConnections) {
      connection = new Connection(port, onAnswer);
      connections.push(connection);
    }
    if (connection) connection.send(request, due);
    else unsent.push(due);
  };
  const startedAt = performance.now();
  measureFrom = startedAt + startS * 1000;
  let sent = 0;
  const sendDue = () => {
    for (;;) {
      const due = startedAt + (sent * 1000) / rate;
      const now = performance.now();
      if (now < due) {
        // Timers of the event loop have a resolution of a millisecond, so up to 20 requests would leave together.
        Atomics.wait(never, 0, 0, Math.min(longestSleepMs, due - now));
        break;
      }
      if (due >= measureFrom) times.lateness.push(now - due);
      send(due);
      if (++sent === total) return;
    }
    setImmediate(sendDue);
  };
  sendDue();
  await ended;
  for (const connection of connections) connection.close();
  return times;
}

function requestOf(url: string, body: string): { port: number; request: Buffer } {
  const { host, port, pathname } = new URL(url);
  const length = Buffer.byteLength(body);
  const head = `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${length}`;
  return { port: Number(port), request: Buffer.from(`${head}\r\n\r\n${body}`) };
}

process.on("message", async (load: Load) => process.send!(await run(load)));
