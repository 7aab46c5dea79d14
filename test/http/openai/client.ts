// OpenAI's own client against the HTTP interface of a test.
import OpenAI, { type ClientOptions } from "openai";
import type { HttpServer } from "../../../src/http/http-types.ts";

/** The address of the server, which listens from now on. */
export async function urlOf(app: HttpServer): Promise<string> {
  if (!app.server.listening) await app.listen({ host: "127.0.0.1", port: 0 });
  const address = app.server.address();
  return `http://127.0.0.1:${typeof address === "object" && address ? address.port : ""}`;
}

/** As its documentation says, except that it does not hide a failure by trying again. */
export function clientOf(url: string, options: ClientOptions = {}): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, ...options });
}

/** One whose caller cannot come back: it has no key, and does not say that it repeats requests. */
export function leavingClientOf(url: string): OpenAI {
  return clientOf(url, { defaultHeaders: { "x-stainless-retry-count": null } });
}
