// Serves HTTP/1.1 and HTTP/2 without TLS on one port. The AWS SDK for JavaScript speaks HTTP/2 by default, also to
// addresses with `http:`. Every HTTP/2 connection begins with the same bytes, and no HTTP/1.1 request does. So the
// first bytes of a connection decide.
import { lookup } from "node:dns/promises";
import { createServer, maxHeaderSize, type RequestListener, type Server } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { answerClientError } from "./error-responses.ts";
import type { HttpServer } from "./http-types.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Streams that a client may open at a time on one connection. A client with more calls opens another connection. */
const maxConcurrentStreams = 250;
/** Interval between attempts to close connections while the server closes, in milliseconds. */
const sweepMs = 20;
/** Time after the start of a close from which a busy HTTP/2 connection accepts no more requests, in milliseconds. */
const patienceMs = 5_000;

export interface ListenerOptions {
  /** Maximum time for the first request's headers, in milliseconds. */
  headersTimeoutMs: number;
  /** Maximum time for a whole request, in milliseconds. HTTP/1.1 only; see hooks/slow-bodies.ts. */
  requestTimeoutMs: number;
  /** Time after which a connection without requests is closed, in milliseconds. */
  idleTimeoutMs: number;
}

/** The connections of one Fastify instance, which may listen on several addresses. */
export class Listener {
  readonly #options: ListenerOptions;
  /** Connections whose protocol is not known yet. */
  readonly #undecided = new Set<Socket>();
  /** Open HTTP/2 sessions, with the number of their unanswered requests. */
  readonly #sessions = new Map<ServerHttp2Session, number>();
  readonly #servers: Server[] = [];

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Creates a server, for Fastify's `serverFactory`. */
  create(handler: RequestListener): Server {
    const { headersTimeoutMs, requestTimeoutMs, idleTimeoutMs } = this.#options;
    const http1 = createServer({ headersTimeout: headersTimeoutMs, requireHostHeader: false }, handler);
    http1.requestTimeout = requestTimeoutMs;
    http1.keepAliveTimeout = idleTimeoutMs;
    const http2 = createHttp2Server({ settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderSize } });
    http2.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      request.headers.host ??= request.headers[":authority"];
      // Fastify works with the compatibility classes of HTTP/2, whose types differ.
      handler(request as never, response as never);
    });
    http2.on("session", (session) => this.#track(session));

    // Node adds its own listener when it creates the server.
    const [serveHttp1] = http1.listeners("connection") as [(socket: Socket) => void];
    http1.off("connection", serveHttp1);
    http1.on("connection", (socket) => {
      this.#decide(socket, (isHttp2) => {
        if (isHttp2) http2.emit("connection", socket);
        else serveHttp1.call(http1, socket);
      });
    });
    this.#servers.push(http1);
    return http1;
  }

  /**
   * Prepares a Fastify instance that got its server from `create`.
   *
   * While the server closes, this closes its connections, because the server waits for them. Fastify closes idle
   * connections only once. A connection whose request is still running becomes idle later, and would delay the close by
   * the keep-alive time. A connection without any data does not count as idle. Browsers and Node's fetch open such
   * connections, which would delay the close by a minute.
   * @param host the host that the instance will listen on
   */
  attach(app: HttpServer, host: string): void {
    if (host === "localhost") app.addHook("onListen", () => this.#listenOnOthers(app));
    let sweep: NodeJS.Timeout | undefined;
    let sweeps = 0;
    app.addHook("preClose", async () => {
      sweep = setInterval(() => {
        sweeps++;
        for (const server of this.#servers) server.closeIdleConnections();
        for (const socket of this.#undecided) socket.destroy();
        for (const [session, requests] of this.#sessions) {
          // Clients abandon their requests when a connection announces its close.
          if (requests === 0 || sweeps * sweepMs > patienceMs) session.close();
        }
      }, sweepMs);
    });
    app.addHook("onClose", async () => clearInterval(sweep));
  }

  /**
   * Also listens on the other addresses of `localhost`, ::1 and 127.0.0.1. If Fastify does not create the server
   * itself, it uses only the first one. Ignores addresses that this machine lacks.
   */
  async #listenOnOthers(app: HttpServer): Promise<void> {
    const { address: first, port } = app.server.address() as AddressInfo;
    const others = (await lookup("localhost", { all: true })).filter(({ address }) => address !== first);
    for (const { address } of others) {
      const server = this.create(app.routing as RequestListener);
      server.on("error", () => {});
      app.server.once("close", () => server.close());
      server.listen(port, address);
    }
  }

  /** Reads the first bytes of a connection, puts them back, and calls `serve` once. */
  #decide(socket: Socket, serve: (isHttp2: boolean) => void): void {
    let bytes: Buffer = Buffer.alloc(0);
    const forget = () => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off("readable", read).off("end", drop).off("error", drop).off("close", forget);
    };
    const drop = () => socket.destroy();
    const read = () => {
      for (let piece = socket.read(); piece !== null; piece = socket.read()) bytes = Buffer.concat([bytes, piece]);
      const compared = Math.min(bytes.length, preface.length);
      const isPossible = bytes.subarray(0, compared).equals(preface.subarray(0, compared));
      if (bytes.length === 0 || (isPossible && bytes.length < preface.length)) return;
      socket.off("readable", read);
      socket.unshift(bytes);
      // Node decides in the next tick how a socket without this listener flows. A server that takes over earlier cannot
      // pause it, and reads the whole body into memory.
      process.nextTick(() => {
        forget();
        if (!socket.destroyed) serve(isPossible);
      });
    };
    const timer = setTimeout(() => {
      forget();
      answerClientError({ code: "ERR_HTTP_REQUEST_TIMEOUT" }, socket);
    }, this.#options.headersTimeoutMs);
    timer.unref();
    this.#undecided.add(socket);
    socket.on("readable", read).on("end", drop).on("error", drop).on("close", forget);
  }

  #track(session: ServerHttp2Session): void {
    this.#sessions.set(session, 0);
    const count = (change: number) => {
      const requests = this.#sessions.get(session);
      if (requests !== undefined) this.#sessions.set(session, requests + change);
    };
    session.on("stream", (stream) => {
      count(1);
      stream.once("close", () => count(-1));
    });
    session.once("close", () => this.#sessions.delete(session));
    // Keep-alive frames and pings count as traffic; a call that waits has none.
    session.setTimeout(this.#options.idleTimeoutMs, () => {
      if (this.#sessions.get(session) === 0) session.close();
    });
  }
}
