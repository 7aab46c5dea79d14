// Reads the W3C trace context of a submit. An invalid one is ignored, as the standard asks.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { type TraceContext, traceContextOf } from "../domain/trace-context.ts";
import { idempotencyHeaders } from "./idempotency-header.ts";

/** The headers for the `headers` of a route's schema. They only document the headers; `traceOf` checks them. */
export const traceHeaders = {
  traceparent: Type.Optional(
    Type.String({
      description:
        "W3C trace context. The job's spans, and its calls to OpenAI-compatible servers, continue this trace.",
    }),
  ),
  tracestate: Type.Optional(Type.String({ description: "W3C trace state. Kept up to 512 characters." })),
};

/** The headers of a route that submits. */
export const submitHeaders = Type.Object({ ...idempotencyHeaders.properties, ...traceHeaders });

/** Returns the trace context of a request, to spread into the input of a submit. Empty without a valid one. */
export function traceOf({ headers: { traceparent, tracestate } }: Pick<FastifyRequest, "headers">): {
  trace?: TraceContext;
} {
  const trace = traceContextOf(traceparent, tracestate);
  return trace ? { trace } : {};
}
