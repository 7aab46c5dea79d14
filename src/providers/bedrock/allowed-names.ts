// Converts ids and names of tool calls, and names of documents, to what Bedrock accepts. Clients carry conversations from one provider to
// another, so a history may contain ids of several hundred characters, and names with dots or spaces. Only what is sent
// changes: the record keeps the originals.
import { createHash } from "node:crypto";
import type { DocumentBlock } from "../../domain/media.ts";
import type { CanonicalRequest } from "../../domain/request.ts";

/** Conversions of one request's ids and names. */
export interface AllowedNames {
  /** Returns the id to send for a tool call's id, in the call and in its result. */
  id: (callId: string) => string;
  /** Returns the name to send for a tool's name. */
  name: (toolName: string) => string;
  /** Returns the name to send for a document. No other document of the request has it. */
  document: (document: DocumentBlock) => string;
}

/**
 * Returns the conversions for a request.
 * @param idLength exact length of ids, for models that accept only letters and digits of that length. Default: 1 to 64
 * letters, digits, underscores and hyphens
 */
export function allowedNames({ messages, tools = [] }: CanonicalRequest, idLength?: number): AllowedNames {
  const blocks = messages.flatMap(({ content }) => content);
  const calls = blocks.filter((block) => block.type === "tool_call");
  const answered = blocks.flatMap((block) => (block.type === "tool_result" ? [block.callId] : []));
  return {
    id: renamed([...calls.map(({ id }) => id), ...answered], idLength === undefined ? usual : exactly(idLength)),
    name: renamed([...tools.map(({ name }) => name), ...calls.map(({ name }) => name)], usual),
    document: documentNames(blocks.filter((block) => block.type === "document")),
  };
}

const maxDocumentNameLength = 200;

/** Returns the names to send for documents. Bedrock refuses most punctuation, and two documents with one name. */
function documentNames(documents: readonly DocumentBlock[]): AllowedNames["document"] {
  const names = new Map<DocumentBlock, string>();
  const used = new Set<string>();
  for (const block of documents) {
    const allowed = block.name
      .replace(/[^a-zA-Z0-9\s()[\]_-]+/g, "-")
      .replace(/\s+/g, " ")
      .slice(0, maxDocumentNameLength - 10)
      .trim();
    const base = /[a-zA-Z0-9]/.test(allowed) ? allowed : "document";
    let name = base;
    for (let n = 2; used.has(name); n++) name = `${base} (${n})`;
    used.add(name);
    names.set(block, name);
  }
  return (block) => names.get(block)!;
}

interface Form {
  allows: RegExp;
  /** Returns an allowed text for one that is not allowed. Different numbers give different texts. */
  make: (text: string, n: number) => string;
}

/**
 * Returns a function that replaces texts that are not allowed. Allowed texts stay as they are, different texts stay
 * different, and equal texts stay equal.
 */
export function renamed(texts: readonly string[], { allows, make }: Form): (text: string) => string {
  const used = new Set(texts.filter((text) => allows.test(text)));
  const names = new Map<string, string>();
  for (const text of texts) {
    if (allows.test(text) || names.has(text)) continue;
    let name: string;
    let n = 0;
    do name = make(text, n++);
    while (used.has(name));
    used.add(name);
    names.set(text, name);
  }
  return (text) => names.get(text) ?? text;
}

const hashLength = 16;

/** Keeps the beginning readable, because the model reads names. */
export const usual: Form = {
  allows: /^[a-zA-Z0-9_-]{1,64}$/,
  make: (text, n) => `${text.slice(0, 63 - hashLength).replace(/[^a-zA-Z0-9_-]/g, "_")}_${hashOf(text, n, hashLength)}`,
};

/** Returns the form of ids with exactly this many letters and digits. */
export function exactly(length: number): Form {
  return { allows: new RegExp(`^[a-zA-Z0-9]{${length}}$`), make: (text, n) => hashOf(text, n, length) };
}

function hashOf(text: string, n: number, length: number): string {
  return createHash("sha256")
    .update(JSON.stringify([text, n]))
    .digest("hex")
    .slice(0, length);
}
