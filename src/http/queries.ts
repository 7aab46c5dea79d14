// Query parameters that a call does not have are refused, as unknown fields are: `/status/{job_id}?wait=30` would otherwise
// answer at once and nobody would know why.
import Type from "typebox";
import { isOpenAiPath } from "./openai/errors.ts";
import type { HttpServer } from "./types.ts";

const none = Type.Object({}, { additionalProperties: false });

/** For the routes that are added after it. Probes may carry anything, and OpenAI's clients send what they like. */
export function refuseUnknownQueries(app: HttpServer): void {
  app.addHook("onRoute", ({ url, schema }) => {
    if (!schema || schema.hide || schema.querystring || isOpenAiPath(url) || /^\/(health|ready)z$/.test(url)) return;
    schema.querystring = none;
  });
}
