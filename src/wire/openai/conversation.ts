// A conversation on its way from OpenAI's form into the canonical one: which call of a function waits for its result,
// and what of the instructions stands outside the conversation.

import { quote } from "../../domain/errors.ts";
import type { ContentBlock, Message } from "../../domain/request.ts";
import type { ToolCallBlock } from "../../jobs/submit/tool-calls.ts";
import { refuse } from "./openai-fields.ts";

/** What a message says. */
export interface Content {
  blocks: ContentBlock[];
  /** See `Message`. */
  isList?: true;
}

/** Gathers messages in their order. Every refusal names the message at fault. */
export class Conversation {
  readonly messages: Message[] = [];
  readonly #instructions: string[];
  /** Instructions that came as messages. */
  #spoken: string[] = [];
  /** Ids of the calls that have no result yet; absent until there is a call. */
  #open: Set<string> | undefined;

  /** @param instructions those that are no message */
  constructor(instructions?: string) {
    this.#instructions = instructions === undefined ? [] : [instructions];
  }

  /** Instructions stand before the conversation, wherever they came in it: models take them there only. */
  instruct(text: string): void {
    this.#spoken.push(text);
  }

  get system(): string | undefined {
    const all = [...this.#instructions, ...this.#spoken];
    return all.length > 0 ? all.join("\n\n") : undefined;
  }

  say(role: Message["role"], { blocks, isList }: Content, field: string): void {
    this.#requireNothingOpen(field);
    this.messages.push({ role, content: blocks, ...(isList && { isList }) });
  }

  /** Calls that the model made, after what it said. */
  call(said: Content, calls: ToolCallBlock[], field: string): void {
    this.say("assistant", { ...said, blocks: [...said.blocks, ...calls] }, field);
    for (const { id } of calls) {
      this.#open ??= new Set();
      if (this.#open.has(id)) refuse(field, `${field} has two calls with the id ${quote(id)}.`);
      this.#open.add(id);
    }
  }

  answer(callId: string, text: string | string[], field: string): void {
    if (!this.#open?.delete(callId)) {
      refuse(field, `${field} answers the call ${quote(callId)}, which the preceding assistant message did not make.`);
    }
    this.messages.push({ role: "user", content: [{ type: "tool_result", callId, text }] });
  }

  /** To be called after the last message. Instructions that no message follows are what the user asks. */
  end(field: string): void {
    this.#requireNothingOpen(field);
    if (this.messages.length > 0 || this.#spoken.length === 0) return;
    this.messages.push({ role: "user", content: [{ type: "text", text: this.#spoken.join("\n\n") }] });
    this.#spoken = [];
  }

  #requireNothingOpen(field: string): void {
    if (!this.#open) return;
    const [callId] = this.#open;
    if (callId !== undefined) refuse(field, `${field} must answer the call ${quote(callId)} first.`);
  }
}
