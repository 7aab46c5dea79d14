// Sends one POST over node:http. Not fetch, which limits the head of a response to five minutes, has no configurable
// connect timeout, and follows redirects with the key.
import * as http from "node:http";
import * as https from "node:https";

/** A request to send. */
export interface PostOptions {
  url: URL;
  headers: Record<string, string>;
  body: string;
  agent: http.Agent;
  /** Time until the connection is established, in milliseconds, including the wait for a free one. */
  connectMs: number;
  /** Ends the exchange at any point, also while the body of the response is read. */
  signal: AbortSignal;
  /** Called once the operating system has taken the whole request. */
  onSent?: (() => void) | undefined;
}

/** No connection was established within the timeout: nothing was sent. */
class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
}

/**
 * Time after which an idle connection is closed, in milliseconds. A request on a connection that the server has just
 * closed fails, and it is unknown whether the server received it. Servers on Node and uvicorn (vLLM) close idle
 * connections after 5 s, most others later.
 */
const keepIdleMs = 4_000;

/** Creates an agent that keeps connections open. */
export function createAgent(url: URL, maxSockets: number): http.Agent {
  const options = { keepAlive: true, maxSockets, timeout: keepIdleMs };
  return url.protocol === "https:" ? new https.Agent(options) : new http.Agent(options);
}

/** Resolves with the head of the response, whatever its status. The caller must read or destroy the body. */
export function post({
  url,
  headers,
  body,
  agent,
  connectMs,
  signal,
  onSent,
}: PostOptions): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const secure = url.protocol === "https:";
    const bytes = Buffer.from(body);
    const request = (secure ? https : http).request(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json", "content-length": bytes.length },
      agent,
      signal,
    });
    // A request that waits for a free connection learns that it was destroyed only when it gets one, so reject here.
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
    // Remains for the whole exchange: a connection that breaks later is also an error of the response.
    request.on("error", reject);
    request.once("response", resolve);
    if (onSent) request.once("finish", onSent);
    request.end(bytes);
  });
}
