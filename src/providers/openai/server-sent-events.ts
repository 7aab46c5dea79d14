// Parses a stream of server-sent events, however its bytes are split into chunks: within a character, within a line, or
// between CR and LF. Drops comments and unused fields (id, retry).
import { tooLarge } from "../bounds.ts";

/** One event of a stream. */
export interface ServerSentEvent {
  /** Name of the event. Most servers send none. */
  event?: string;
  /** Lines of the data, joined by line feeds. */
  data: string;
}

/** Maximum length of one event, in UTF-16 code units. The largest answer with every character escaped fits. */
const maxEventLength = 32 * 1024 * 1024;

const carriageReturn = 13;
const lineFeed = 10;

/** Parses a stream incrementally. */
export class EventParser {
  readonly #decoder = new TextDecoder();
  /**
   * Decoded text that is not yet a line. Kept in pieces, because a string that grows
   * with every chunk and is read in between is copied each time. With one string, 10 MB in chunks of a kilobyte took two
   * minutes.
   */
  #pending: string[] = [];
  #pendingLength = 0;
  /** Whether the last chunk ended with a carriage return. The next chunk shows whether a line feed belongs to it. */
  #heldReturn = false;
  #data: string[] = [];
  #dataLength = 0;
  #event: string | undefined;
  #complete: ServerSentEvent[] = [];

  /**
   * Returns the events that this chunk completes.
   * @throws ProviderError if an event is longer than any answer
   */
  push(chunk: Uint8Array): ServerSentEvent[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (this.#heldReturn) text = `\r${text}`;
    this.#heldReturn = text.endsWith("\r");
    if (this.#heldReturn) text = text.slice(0, -1);
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code !== lineFeed && code !== carriageReturn) continue;
      this.#endLine(text.slice(start, at));
      if (code === carriageReturn && text.charCodeAt(at + 1) === lineFeed) at++;
      start = at + 1;
    }
    this.#pending.push(text.slice(start));
    this.#pendingLength += text.length - start;
    if (this.#pendingLength + this.#dataLength > maxEventLength) throw tooLarge();
    return this.#take();
  }

  /** Returns the last event if the empty line after it is missing. Some servers omit it. */
  end(): ServerSentEvent[] {
    this.#endLine("");
    this.#line("");
    return this.#take();
  }

  #take(): ServerSentEvent[] {
    const complete = this.#complete;
    this.#complete = [];
    return complete;
  }

  #endLine(end: string): void {
    const line = this.#pending.join("") + end;
    this.#pending = [];
    this.#pendingLength = 0;
    this.#line(line);
  }

  #line(line: string): void {
    if (line === "") {
      if (this.#data.length > 0) {
        this.#complete.push({ ...(this.#event && { event: this.#event }), data: this.#data.join("\n") });
      }
      this.#data = [];
      this.#dataLength = 0;
      this.#event = undefined;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") {
      this.#data.push(value);
      // Counts the line feed too, because a million empty lines take memory.
      this.#dataLength += value.length + 1;
    } else if (field === "event") {
      this.#event = value;
    }
  }
}
