// The HTTP server: chooses the service for a request, and formats errors. All services that AWS offers at different
// addresses (Bedrock Runtime, its control plane, Service Quotas) share the simulator's one port.
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { BedrockError } from "./aws-errors.ts";
import { Exchange } from "./exchange.ts";

/** What is known about a request before its body has been read. */
export interface RequestHead {
  method: string;
  /** Path as it was sent, still percent-encoded, without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
}

/** Authenticates, reads and answers one request. An error that it throws is sent in Bedrock's format. */
export type Route = (exchange: Exchange) => Promise<void>;

/**
 * One of the services behind the port. Returns the route for a request, or undefined if the request is for another
 * service.
 */
export type Service = (head: RequestHead) => Route | undefined;

export function createSimulatorServer(services: readonly Service[], nextRequestId: () => string): Server {
  const server = createServer((request, response) => {
    const exchange = new Exchange(request, response);
    serve(exchange, services).catch((error: unknown) => {
      if (exchange.disconnected || response.headersSent) response.destroy();
      else sendError(exchange, toBedrockError(error), nextRequestId());
    });
  });
  // Longer than any client keeps an idle connection. A server that closes first makes the client's next request fail.
  server.keepAliveTimeout = 600_000;
  return server;
}

async function serve(exchange: Exchange, services: readonly Service[]): Promise<void> {
  const { method = "", url = "", headers } = exchange.request;
  const queryAt = url.indexOf("?");
  const head: RequestHead = {
    method,
    path: queryAt < 0 ? url : url.slice(0, queryAt),
    query: new URLSearchParams(queryAt < 0 ? "" : url.slice(queryAt)),
    headers,
  };
  for (const service of services) {
    const route = service(head);
    if (route) return route(exchange);
  }
  throw new BedrockError("UnknownOperationException", "The requested operation is not recognized by the service.");
}

function toBedrockError(error: unknown): BedrockError {
  if (error instanceof BedrockError) return error;
  // A bug in the simulator, or in a test's `fault` function. Report it as such, so that it does not look like Bedrock.
  return new BedrockError(
    "InternalServerException",
    `The simulator failed: ${error instanceof Error ? error.message : error}`,
  );
}

/** Answers with an HTTP error in Bedrock's format: the type in a header, the message in a JSON body. */
export function sendError(
  exchange: Exchange,
  error: BedrockError,
  requestId: string,
  headers: Record<string, string> = {},
): void {
  exchange.send(
    error.status,
    {
      "content-type": "application/json",
      "x-amzn-requestid": requestId,
      "x-amzn-errortype": `${error.name}:http://internal.amazon.com/coral/com.amazon.bedrock/`,
      ...headers,
    },
    JSON.stringify({ message: error.message }),
  );
}
