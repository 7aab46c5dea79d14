// The HTTP side: which operation a request means, who may ask, and the shape of errors.
import { createServer, type IncomingMessage, type Server } from "node:http";
import { BedrockError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Operation } from "./journal.ts";

/** A request that has found its operation. */
export interface OperationRequest {
  operation: Operation;
  modelId: string;
  /** From the signature's credential scope. */
  region?: string;
  body: string;
}

export type OperationHandler = (request: OperationRequest, exchange: Exchange) => Promise<void>;

const operations: Record<string, Operation> = {
  converse: "Converse",
  "converse-stream": "ConverseStream",
  invoke: "InvokeModel",
  "invoke-with-response-stream": "InvokeModelWithResponseStream",
};

export function createRuntimeServer(handle: OperationHandler, nextRequestId: () => string): Server {
  const server = createServer((request, response) => {
    const exchange = new Exchange(request, response);
    serve(exchange, handle).catch((error: unknown) => {
      if (exchange.gone || response.headersSent) response.destroy();
      else sendError(exchange, toBedrockError(error), nextRequestId());
    });
  });
  // Longer than any client keeps an idle connection: a server that closes first makes the client's next request fail.
  server.keepAliveTimeout = 600_000;
  return server;
}

async function serve(exchange: Exchange, handle: OperationHandler): Promise<void> {
  const { operation, modelId } = route(exchange.request);
  const region = authenticate(exchange.request.headers.authorization);
  const body = await exchange.readBody();
  await handle({ operation, modelId, ...(region !== undefined && { region }), body }, exchange);
}

function route(request: IncomingMessage): { operation: Operation; modelId: string } {
  const [, root, modelId, name, ...rest] = (request.url ?? "").split("?", 1)[0]!.split("/");
  const operation = name !== undefined && Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (request.method !== "POST" || root !== "model" || !modelId || !operation || rest.length > 0) {
    throw new BedrockError("UnknownOperationException", "The requested operation is not recognized by the service.");
  }
  try {
    return { operation, modelId: decodeURIComponent(modelId) };
  } catch {
    throw new BedrockError("ValidationException", "The provided model identifier is invalid.");
  }
}

/** Signatures are not verified, but there must be one, or a bearer key. Returns the region that was signed for. */
function authenticate(authorization: string | undefined): string | undefined {
  if (!authorization || !/^(?:AWS4-HMAC-SHA256|Bearer) \S/.test(authorization)) {
    throw new BedrockError("MissingAuthenticationTokenException", "Missing Authentication Token");
  }
  return /Credential=[^/,]+\/\d+\/([^/,]+)\//.exec(authorization)?.[1];
}

function toBedrockError(error: unknown): BedrockError {
  if (error instanceof BedrockError) return error;
  // A bug of the simulator, or of a test's `fault` function: say so, instead of looking like Bedrock.
  return new BedrockError(
    "InternalServerException",
    `The simulator failed: ${error instanceof Error ? error.message : error}`,
  );
}

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
