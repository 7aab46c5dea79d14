// Query parameters and fields of a body that a call does not have are refused: `/status/{job_id}?wait=30` would otherwise
// answer at once and nobody would know why, and a retry with `dry_run` would run.
import type { FastifyRequest } from "fastify";
import Type from "typebox";
import { errorResponses } from "./errors.ts";
import { isOpenAiPath } from "./openai/errors.ts";
import type { HttpServer } from "./types.ts";
import { bodyCheck } from "./validation.ts";

const none = Type.Object({}, { additionalProperties: false });
const checkNone = bodyCheck(none, { unknownToo: false });

/** For the routes that are added after it. Probes may carry anything. */
export function refuseUnknown(app: HttpServer): void {
  app.addHook("onRoute", (route) => {
    const { url, schema } = route;
    if (!schema || schema.hide || /^\/(health|ready)z$/.test(url)) return;
    schema.querystring ??= none;
    // Whatever has no schema of its own may still be sent by clients that send {} or null for nothing.
    if (schema.body === undefined) route.preValidation = [refuseBody, ...[route.preValidation ?? []].flat()];
    const refused = errorResponses(["invalid_request"], isOpenAiPath(url) ? "OpenAIError" : "Error");
    schema.response = { 400: refused[400], ...(schema.response as object) };
  });
}

async function refuseBody({ body }: FastifyRequest): Promise<void> {
  if (body !== undefined && body !== null) checkNone(body);
}
