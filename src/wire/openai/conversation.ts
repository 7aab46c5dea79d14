// Converts a conversation from OpenAI's form to the canonical one. It tracks which function calls wait for results, and
// moves instructions out of the conversation.

import { quote } from "../../domain/errors.ts";
import type { ContentBlock, Message } from "../../domain/request.ts";
import type { ToolCallBlock } from "../../jobs/submit/tool-calls.ts";
import { refuse } from "./openai-fields.ts";

/** The content of a message. */
export interface Content {
  blocks: ContentBlock[];
  /** Whether the content was a list. See `Message`. */
  isList?: true;
}

/** Collects messages in their order. Every error names the message at fault. */
export class Conversation {
  readonly messages: Message[] = [];
  readonly #instructions: string[];
  /** Instructions that came as messages. */
  #spoken: string[] = [];
  /** Ids of calls that have no result yet. Absent until the first call. */
  #open: Set<string> | undefined;

  /**
   * Starts an empty conversation.
   * @param instructions instructions that are not a message
   */
  constructor(instructions?: string) {
    this.#instructions = instructions === undefined ? [] : [instructions];
  }

  /** Adds instructions. They precede the conversation wherever they occurred, because models accept them only there. */
  instruct(text: string): void {
    this.#spoken.push(text);
  }

  get system(): string | undefined {
    const all = [...this.#instructions, ...this.#spoken];
    return all.length > 0 ? all.join("\n\n") : undefined;
  }

  add(role: Message["role"], { blocks, isList }: Content, field: string): void {
    this.#requireNothingOpen(field);
    this.messages.push({ role, content: blocks, ...(isList && { isList }) });
  }

  /** Adds the model's calls, which follow its text. */
  call(said: Content, calls: ToolCallBlock[], field: string): void {
    this.add("assistant", { ...said, blocks: [...said.blocks, ...calls] }, field);
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

  /**
   * Ends the conversation; call it after the last message. Instructions without any message become the user's message.
   */
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
