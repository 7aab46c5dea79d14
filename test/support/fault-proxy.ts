// A TCP proxy between a client and a server that does what networks do: it cuts, stalls, slows down and refuses.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export interface FaultProxy {
  port: number;
  /** The url of the server behind it, with the proxy's port in place of the server's. */
  through(url: string): string;
  /** Breaks every open connection. New ones are taken. */
  cut(): void;
  /**
   * From now on nothing is forwarded, either way, and no connection is closed: half-open to both sides. With `replies`,
   * requests reach the server, and only its replies are held back.
   */
  stall(what?: "everything" | "replies"): void;
  /** From now on every piece of data is forwarded this much later. */
  slow(delayMs: number): void;
  /** From now on no connection is taken. Open ones stay. Resolves when the port is closed. */
  refuse(): Promise<void>;
  /** Ends all of the above; what was held back is forwarded. Resolves when the port is open. */
  heal(): Promise<void>;
  /** Resolves once data came in that a stall holds back. */
  stalled(): Promise<void>;
  close(): Promise<void>;
}

export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let stalling: "everything" | "replies" | undefined;
  let delayMs = 0;
  /** What a stall holds back. */
  let held: (() => void)[] = [];
  let onHeld = () => {};

  const forward = (from: Socket, to: Socket, isReply: boolean) => {
    const isStalled = () => stalling === "everything" || (isReply && stalling === "replies");
    const write = (data: Buffer) => {
      if (to.writable) to.write(data);
      from.resume();
    };
    from.on("data", (data) => {
      // Paused while a piece is held back or under way, so that pieces keep their order and the sender feels it.
      from.pause();
      if (isStalled()) {
        held.push(() => write(data));
        onHeld();
      } else if (delayMs > 0) {
        setTimeout(write, delayMs, data);
      } else {
        write(data);
      }
    });
    from.on("end", () => to.end());
    from.on("error", () => {});
    from.on("close", () => {
      sockets.delete(from);
      // While stalling neither side hears that the other one is gone.
      if (isStalled()) held.push(() => to.destroy());
      else to.destroy();
    });
    sockets.add(from);
  };

  const listen = async (port: number): Promise<Server> => {
    const server = createServer((client) => {
      const target = connect(targetPort, "127.0.0.1");
      forward(client, target, false);
      forward(target, client, true);
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  };
  let server: Server | undefined = await listen(0);
  const { port } = server.address() as AddressInfo;

  const refuse = async () => {
    const listening = server;
    server = undefined;
    // Resolves only when the open connections end; the port is closed at once.
    listening?.close();
  };
  return {
    port,
    through: (url) => url.replace(`:${targetPort}`, `:${port}`),
    cut() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    stall(what = "everything") {
      stalling = what;
    },
    slow(ms) {
      delayMs = ms;
    },
    refuse,
    async heal() {
      stalling = undefined;
      delayMs = 0;
      const waiting = held;
      held = [];
      for (const release of waiting) release();
      server ??= await listen(port);
    },
    stalled() {
      return new Promise((resolve) => {
        if (held.length > 0) resolve();
        else onHeld = resolve;
      });
    },
    async close() {
      await refuse();
      for (const socket of sockets) socket.destroy();
    },
  };
}
