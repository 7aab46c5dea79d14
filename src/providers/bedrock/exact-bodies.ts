// Middlewares that keep JSON exact. The AWS SDK prints and parses JSON documents (tool input, schemas) with
// JavaScript's numbers. These insert texts verbatim into a request's body, and keep the body of a response verbatim.
import type { ConverseCommand, ConverseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
import type { JsonTexts } from "../../domain/json-text.ts";

/** The stack of both commands. The middlewares below handle bodies only, which have the same form in both. */
type Stack = ConverseCommand["middlewareStack"];

/** Inserts texts into the body after the SDK has printed it and before it is measured and signed. */
export function insertTexts(command: ConverseCommand | ConverseStreamCommand, texts: JsonTexts): void {
  if (texts.isEmpty) return;
  const stack = command.middlewareStack as Stack;
  stack.add(
    (next) => async (args) => {
      const request = args.request as { body: string | Uint8Array };
      const { body } = request;
      request.body = texts.insertInto(typeof body === "string" ? body : new TextDecoder().decode(body));
      return next(args);
    },
    { step: "serialize", priority: "low", name: "insertJsonTexts" },
  );
}

/**
 * Keeps the body of the response. Returns a function that reads it as text. The text is empty until there is a
 * response.
 */
export function keepBody(command: ConverseCommand): () => string {
  let bytes: Uint8Array = Buffer.alloc(0);
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const response = result.response as { body: Uint8Array | AsyncIterable<Uint8Array> };
      if (!(response.body instanceof Uint8Array)) {
        const chunks: Uint8Array[] = [];
        for await (const chunk of response.body) chunks.push(chunk);
        response.body = Buffer.concat(chunks);
      }
      bytes = response.body;
      return result;
    },
    { step: "deserialize", priority: "low", name: "keepBody" },
  );
  return () => new TextDecoder().decode(bytes);
}
