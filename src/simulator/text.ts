// Generates the simulator's answers, and counts their tokens. An answer depends only on the prompt and the seed, and
// says plainly that no model wrote it.
import { createHash } from "node:crypto";
import { type Filled, fill } from "./fill.ts";
import { describedObject } from "./json-hints.ts";
import { randomNumbers } from "./random.ts";
import type { SimulatedTool } from "./tool-choice.ts";

/** Long words count one token per started run of this many characters. */
const charactersPerToken = 16;
/** Length of the prompt's beginning that the answer quotes, in characters. */
const quotedCharacters = 60;

/**
 * Counts the simulator's tokens: one per word (text between white space), and one per started 16 characters of a long
 * word. Stays below the counts of real tokenizers for ordinary text. So a client that counts with a real one never
 * reserves too little, and is never throttled by the simulator's invention.
 */
export function countTokens(text: string): number {
  let tokens = 0;
  let wordLength = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isSpace(code)) wordLength = 0;
    else if (!isLowSurrogate(code) && wordLength++ % charactersPerToken === 0) tokens++;
  }
  return tokens;
}

/** Cuts a text after every `tokens` tokens. The concatenated chunks are the text. */
export function splitByTokens(text: string, tokens: number): string[] {
  const pieces: string[] = [];
  let start = 0;
  let inPiece = 0;
  let wordLength = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (isSpace(code)) wordLength = 0;
    else if (!isLowSurrogate(code) && wordLength++ % charactersPerToken === 0) {
      if (inPiece === tokens) {
        pieces.push(text.slice(start, i));
        start = i;
        inPiece = 0;
      }
      inPiece++;
    }
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}

/** What an answer depends on. */
export interface AnswerRequest {
  /** The user's last message. */
  prompt: string;
  /** All the text that was sent. Together with the seed it decides the length and the words. */
  input: string;
  seed: number;
  /** Minimum and maximum number of tokens. */
  length: readonly [min: number, max: number];
  maxTokens: number;
  stopSequences: readonly string[];
  form?: AnswerForm;
  /** Set if the model thinks first. `signed`: with a signature, as Claude does. */
  thinking?: "signed" | "plain";
}

/** Form of an answer in place of free text. */
export interface AnswerForm {
  /** Tool to call. */
  tool?: SimulatedTool;
  /** Schema of a JSON answer. `{}` allows any JSON object. */
  schema?: unknown;
  /** Text of the conversation, without tools. It may describe the JSON if no schema does. */
  conversation: string;
}

/** A generated answer. */
export interface Answer {
  /** Empty if a tool is called. */
  text: string;
  /** All tokens, those of the reasoning included. */
  tokens: number;
  /** What the model thought first. */
  reasoning?: { text: string; tokens: number; signature?: string };
  stopReason: "end_turn" | "max_tokens" | "stop_sequence" | "tool_use";
  toolUse?: {
    id: string;
    name: string;
    /** Input as JSON, truncated if `max_tokens` is reached. */
    input: string;
  };
}

/** Beginning of all reasoning. */
const syntheticThought = "[synthetic reasoning from the Sluice simulator]";

/** Returns the signature of reasoning. It proves that the text is unchanged, like Claude's. */
export function signatureOf(text: string): string {
  return createHash("sha256").update(`simulated signature of ${text}`).digest("base64");
}

/** Generates an answer. */
export function synthesize(request: AnswerRequest): Answer {
  const { thinking, maxTokens } = request;
  // Half of a small limit remains for the answer.
  const most = Math.floor(maxTokens / 2);
  if (thinking === undefined || most === 0) return generate(request);
  const whole = `${syntheticThought} The prompt has ${countWords(request.prompt)} words. I answer it with filler.`;
  const text = splitByTokens(whole, most)[0]!;
  const tokens = countTokens(text);
  const answer = generate({ ...request, maxTokens: maxTokens - tokens });
  const reasoning = { text, tokens, ...(thinking === "signed" && { signature: signatureOf(text) }) };
  return { ...answer, tokens: answer.tokens + tokens, reasoning };
}

function generate(request: AnswerRequest): Answer {
  const random = randomNumbers(`${request.seed} ${request.input}`);
  const { form } = request;
  if (form?.tool) return callTool(form.tool, request, random);
  const [min, max] = request.length;
  const { json: whole, isWhole } =
    form?.schema !== undefined
      ? writeJson(form.schema, request, random)
      : { json: write(request.prompt, min + Math.floor(random() * (max - min + 1)), random), isWhole: true };

  const stops = request.stopSequences.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
  const text = stops.length > 0 ? whole.slice(0, Math.min(...stops)) : whole;
  const tokens = countTokens(text);
  if (tokens > request.maxTokens) {
    return { text: splitByTokens(text, request.maxTokens)[0]!, tokens: request.maxTokens, stopReason: "max_tokens" };
  }
  if (stops.length > 0) return { text, tokens, stopReason: "stop_sequence" };
  return { text, tokens, stopReason: isWhole ? "end_turn" : "max_tokens" };
}

function callTool({ name, schema }: SimulatedTool, request: AnswerRequest, random: () => number): Answer {
  const { maxTokens } = request;
  const id = `tooluse_synthetic_${Math.floor(random() * 2 ** 32).toString(36)}`;
  const { json: input, isWhole } = writeJson(schema, request, random);
  const tokens = Math.max(1, countTokens(input));
  if (tokens <= maxTokens) {
    return { text: "", tokens, stopReason: isWhole ? "tool_use" : "max_tokens", toolUse: { id, name, input } };
  }
  const cut = splitByTokens(input, maxTokens)[0]!;
  return { text: "", tokens: maxTokens, stopReason: "max_tokens", toolUse: { id, name, input: cut } };
}

function writeJson(schema: unknown, { form, maxTokens }: AnswerRequest, random: () => number): Filled {
  // JSON of more characters has more tokens than the answer may have, or much white space.
  const maxCharacters = (maxTokens + 1) * 2 * charactersPerToken;
  return fill(schema, { random, openObject: () => describedObject(form?.conversation ?? ""), maxCharacters });
}

/** Beginning of every free-text answer, if `max_tokens` allows it. */
export const syntheticMark = "[synthetic answer from the Sluice simulator]";

function write(prompt: string, tokens: number, random: () => number): string {
  const start = Array.from(prompt.trimStart().slice(0, 2 * quotedCharacters))
    .slice(0, quotedCharacters)
    .join("")
    .trimEnd()
    .replace(/\s+/g, " ");
  const words = [
    ...syntheticMark.split(" "),
    ...`You wrote ${countWords(prompt)} words, beginning "${start}". No model was asked; what follows is filler.`.split(
      " ",
    ),
  ];
  let used = words.reduce((sum, word) => sum + countTokens(word), 0);
  for (let inSentence = 0; used < tokens; used++) {
    let word = filler[Math.floor(random() * filler.length)]!;
    if (inSentence++ === 0) word = word[0]!.toUpperCase() + word.slice(1);
    if (used + 1 === tokens || inSentence === 12) {
      word += ".";
      inSentence = 0;
    }
    words.push(word);
  }
  return words.join(" ");
}

function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

/** White space below U+0100 is enough, because this counts tokens of an invented tokenizer, not words of a language. */
function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13) || code === 160;
}

/** Detects the second half of a character beyond U+FFFF. It is not counted, so that no cut separates the halves. */
function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

const filler = (
  "water gate river channel level flow stone bank lock bridge field rain cloud north mill wheel spring meadow boat " +
  "barge rope timber keeper morning evening season harvest valley slope basin weir pond reed current measure stream"
).split(" ");
