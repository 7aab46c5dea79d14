// Sends the same request over and over on a number of connections, each as soon as the last one is answered. It writes
// bytes and looks for the end of each answer, so that it takes little of the processor that it shares with the server.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface Load {
  connections: number;
  requests: number;
  /** Requests a second at most, evenly spaced. Default: as many as are answered. */
  perS?: number;
}

/** @throws Error if a request is answered with anything but 200 */
export async function closedLoop(url: string, body: string, { connections, requests, perS }: Load): Promise<void> {
  const { hostname, port, pathname } = new URL(url);
  const head = `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n`;
  const request = Buffer.from(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  const start = performance.now();
  let sent = 0;
  const run = async () => {
    const socket = connect(Number(port), hostname).setNoDelay(true);
    await once(socket, "connect");
    try {
      while (sent < requests) {
        const due = start + (perS === undefined ? 0 : (sent * 1000) / perS);
        sent++;
        if (due > performance.now()) await sleep(due - performance.now());
        socket.write(request);
        await answered(socket);
      }
    } finally {
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: connections }, run));
}

function answered(socket: Socket): Promise<void> {
  let text = "";
  return new Promise((resolve, reject) => {
    const end = (error?: Error) => {
      socket.off("data", read).off("error", end).off("close", closed);
      if (error) reject(error);
      else resolve();
    };
    const read = (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const bodyAt = text.indexOf("\r\n\r\n") + 4;
      if (bodyAt < 4) return;
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      if (text.length < bodyAt + length) return;
      end(text.startsWith("HTTP/1.1 200") ? undefined : new Error(`A request was answered: ${text.slice(0, 300)}`));
    };
    const closed = () => end(new Error("The server closed a connection."));
    socket.on("data", read).on("error", end).on("close", closed);
  });
}
