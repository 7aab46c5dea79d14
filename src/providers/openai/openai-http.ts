// One POST over node:http. Not fetch: that has a time limit of five minutes for the head of a response, none for
// connecting that could be set, and follows redirects with the key in hand.
import * as http from "node:http";
import * as https from "node:https";

export interface PostOptions {
  url: URL;
  headers: Record<string, string>;
  body: string;
  agent: http.Agent;
  /** Until the connection stands; waiting for a free one counts. */
  connectMs: number;
  /** Ends the exchange at any point, the body of the response included. */
  signal: AbortSignal;
}

/** No connection within the time limit: nothing was sent. */
class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
}

/**
 * Idle connections are closed after this long, in ms: a request on one that the other side has just closed fails without
 * anybody knowing whether it was received. Servers on Node and uvicorn (vLLM) close theirs after 5 s, most others later.
 */
const keepIdleMs = 4_000;

export function createAgent(url: URL, maxSockets: number): http.Agent {
  const options = { keepAlive: true, maxSockets, timeout: keepIdleMs };
  return url.protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
}

/** Resolves with the head of the response, whatever its status; the body is the caller's to read or destroy. */
export function post({ url, headers, body, agent, connectMs, signal }: PostOptions): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === "https:";
    const bytes = Buffer.from(body);
    const request = (secure ? https : http).request(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json", "content-length": bytes.length },
      agent,
      signal,
    });
    // A request that waits for a free connection hears of its own end only when it gets one, so the caller is told here.
    const connecting = setTimeout(() => {
      request.destroy();
      reject(new ConnectTimeout("No connection in time."));
    }, connectMs);
    signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
    request.once("socket", (socket) => {
      if (request.reusedSocket) clearTimeout(connecting);
      else socket.once(secure ? "secureConnect" : "connect", () => clearTimeout(connecting));
    });
    request.once("close", () => clearTimeout(connecting));
    // Stays for the whole exchange: a connection that breaks later is an error of the response as well.
    request.on("error", reject);
    request.once("response", resolve);
    request.end(bytes);
  });
}
