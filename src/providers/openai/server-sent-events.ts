// Takes a stream of server-sent events apart, however its bytes are cut into chunks: in the middle of a character, of a
// line, or between CR and LF. Comments and fields that nobody here needs (id, retry) are dropped.

export interface ServerSentEvent {
  /** The event's name; most servers give none. */
  event?: string;
  /** Its lines, joined by line feeds. */
  data: string;
}

/** One event may hold a whole answer; more than this is no answer of a model. In UTF-16 code units. */
const maxEventLength = 16 * 1024 * 1024;

const carriageReturn = 13;
const lineFeed = 10;

export class EventParser {
  readonly #decoder = new TextDecoder();
  /** Decoded and not yet a line. */
  #rest = "";
  /** How much of it has been searched for an end of line, so that a long line is not searched again with every chunk. */
  #searched = 0;
  #data: string[] = [];
  #dataLength = 0;
  #event: string | undefined;
  #complete: ServerSentEvent[] = [];

  /**
   * The events that are complete with this chunk.
   * @throws RangeError if an event is longer than any answer.
   */
  push(chunk: Uint8Array): ServerSentEvent[] {
    this.#rest += this.#decoder.decode(chunk, { stream: true });
    let start = 0;
    let at = this.#searched;
    for (; at < this.#rest.length; at++) {
      const code = this.#rest.charCodeAt(at);
      if (code !== lineFeed && code !== carriageReturn) continue;
      // Whether a line feed belongs to it is told by what comes next.
      if (code === carriageReturn && at + 1 === this.#rest.length) break;
      this.#line(this.#rest.slice(start, at));
      if (code === carriageReturn && this.#rest.charCodeAt(at + 1) === lineFeed) at++;
      start = at + 1;
    }
    this.#rest = this.#rest.slice(start);
    this.#searched = at - start;
    if (this.#rest.length + this.#dataLength > maxEventLength) throw new RangeError("An event is too long.");
    return this.#take();
  }

  /** What is left when the stream has ended: an event without the empty line behind it. Some servers forget it. */
  end(): ServerSentEvent[] {
    this.#line(this.#rest.replace(/\r$/, ""));
    this.#rest = "";
    this.#line("");
    return this.#take();
  }

  #take(): ServerSentEvent[] {
    const complete = this.#complete;
    this.#complete = [];
    return complete;
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
      this.#dataLength += value.length;
    } else if (field === "event") {
      this.#event = value;
    }
  }
}
