// The event-stream format: what our encoder writes, the AWS SDK's codec reads, and the other way round, wherever the
// bytes are cut.
import { EventStreamCodec, Int64, type MessageHeaders } from "@smithy/core/event-streams";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeError, encodeEvent, encodeException } from "../../src/event-stream/event-stream-encoder.ts";
import { EventStreamReader, type StreamMessage } from "../../src/event-stream/event-stream-reader.ts";

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
);

function read(chunks: Uint8Array[], checkLength: (bytes: number) => void = () => {}): StreamMessage[] {
  const reader = new EventStreamReader(checkLength);
  const messages = chunks.flatMap((chunk) => [...reader.read(chunk)]);
  reader.end();
  return messages;
}

/** Encodes a message with the library. */
function message(headers: MessageHeaders, payload = "{}"): Uint8Array {
  return codec.encode({ headers, body: Buffer.from(payload) });
}

const text = (value: string) => ({ type: "string" as const, value });
const ofEvent = { ":message-type": text("event"), ":event-type": text("chunk") };

describe("reading", () => {
  const anyMessage = fc.oneof(
    fc.record({ kind: fc.constant("event" as const), type: fc.string(), payload: fc.json() }),
    fc.record({ kind: fc.constant("exception" as const), type: fc.string(), payload: fc.json() }),
    fc.record({ kind: fc.constant("error" as const), code: fc.string(), message: fc.string({ unit: "grapheme" }) }),
  );

  function encoded(given: StreamMessage): Uint8Array {
    if (given.kind === "error") {
      const { code, message: words } = given;
      return message({ ":message-type": text("error"), ":error-code": text(code), ":error-message": text(words) });
    }
    const { kind, type, payload } = given;
    return message({ ":message-type": text(kind), [`:${kind}-type`]: text(type) }, payload);
  }

  test("messages are the same, wherever the stream is cut into chunks", () => {
    fc.assert(
      fc.property(fc.array(anyMessage, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 10 }), (given, cuts) => {
        const bytes = Buffer.concat(given.map(encoded));
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
        expect(read(places.map((at, i) => bytes.subarray(places[i - 1] ?? 0, at)))).toEqual(given);
      }),
    );
  });

  test("single bytes, and all in one chunk", () => {
    const given: StreamMessage[] = [
      { kind: "event", type: "a", payload: "1" },
      { kind: "event", type: "b", payload: '{"long":"…"}' },
    ];
    const bytes = Buffer.concat(given.map(encoded));
    expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(given);
    expect(read([bytes])).toEqual(given);
  });

  test("headers of every type are read over", () => {
    const headers: MessageHeaders = {
      yes: { type: "boolean", value: true },
      no: { type: "boolean", value: false },
      byte: { type: "byte", value: -1 },
      short: { type: "short", value: -2 },
      integer: { type: "integer", value: 3 },
      long: { type: "long", value: Int64.fromNumber(4) },
      binary: { type: "binary", value: Buffer.from("5") },
      time: { type: "timestamp", value: new Date(6) },
      uuid: { type: "uuid", value: "01234567-89ab-cdef-0123-456789abcdef" },
      ...ofEvent,
    };
    expect(read([message(headers, "7")])).toEqual([{ kind: "event", type: "chunk", payload: "7" }]);
  });

  test("a message that is cut, corrupt, too short or of another kind is refused", () => {
    const good = message(ofEvent);
    for (let length = 1; length < good.length; length++) {
      expect(() => read([good.subarray(0, length)]), `${length} bytes`).toThrow("ends within a message");
    }
    for (let at = 4; at < good.length; at++) {
      const corrupt = Buffer.from(good);
      corrupt[at]! ^= 1;
      expect(() => read([corrupt]), `byte ${at}`).toThrow(/cannot be read/);
    }
    expect(() => read([Buffer.of(0, 0, 0, 15, 0)])).toThrow("15 bytes");
    expect(() => read([message({ ...ofEvent, ":message-type": text("odd") })])).toThrow('"odd"');
    expect(() => read([message({})])).toThrow("type");
  });

  test("the length is checked before the rest arrives", () => {
    const refuse = (bytes: number) => {
      throw new Error(`${bytes} are too many`);
    };
    expect(() => read([Buffer.of(0x7f, 0xff, 0xff, 0xff)], refuse)).toThrow("2147483647 are too many");
  });
});

describe("writing", () => {
  const readByLibrary = (bytes: Uint8Array) => {
    const { headers, body } = codec.decode(bytes);
    const texts = Object.entries(headers).map(([name, { value }]) => [name, value]);
    return { ...Object.fromEntries(texts), payload: Buffer.from(body).toString() };
  };

  test("the library reads every message", () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ unit: "grapheme" }), (type, words) => {
        const json = { ":content-type": "application/json" };
        const payload = JSON.stringify({ message: words });
        const event = { ":message-type": "event", ":event-type": type, ...json, payload };
        expect(readByLibrary(encodeEvent(type, payload))).toEqual(event);
        const exception = { ":message-type": "exception", ":exception-type": type, ...json, payload };
        expect(readByLibrary(encodeException(type, words))).toEqual(exception);
        const error = { ":message-type": "error", ":error-code": type, ":error-message": words, payload: "{}" };
        expect(readByLibrary(encodeError(type, words))).toEqual(error);
      }),
    );
  });
});
