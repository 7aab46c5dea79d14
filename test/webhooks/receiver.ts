// A receiver of webhooks on this machine, as a customer of the service would write one.
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Received {
  headers: Record<string, string>;
  body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  json: any;
}

export interface Receiver {
  url: string;
  received: Received[];
}

/**
 * Starts a receiver, which is closed when the test ends.
 * @param answer given each request and how many there were before; by default all are answered with 200
 */
export async function startReceiver(
  answer: (response: ServerResponse, n: number, request: IncomingMessage) => void = (response) => response.end("ok"),
): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk;
    received.push({ headers: request.headers as Record<string, string>, body, json: JSON.parse(body || "null") });
    answer(response, received.length - 1, request);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=t0ken`,
    received,
  };
}

/** Calls the service: a POST if there is a body, else a GET. */
// biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
export async function callJson(url: string, path: string, body?: object): Promise<any> {
  const response = await fetch(url + path, {
    ...(body && { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return response.json();
}
