// A collector in this process: takes spans in OTLP over HTTP, as JSON.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

type Value = { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean };
interface Attribute {
  key: string;
  value: Value & { arrayValue?: { values: Value[] } };
}

interface ExportedSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  events: { name: string; attributes: Attribute[] }[];
  links: { spanId: string }[];
  status: { code?: number; message?: string };
}

interface Export {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: ExportedSpan[] }[] }[];
}

export interface ReceivedSpan {
  name: string;
  /** 1 internal, 3 client, 4 producer. */
  kind: number;
  traceId: string;
  spanId: string;
  /** Absent for the first span of a trace. */
  parentId: string | undefined;
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
  events: { name: string; attributes: Record<string, unknown> }[];
  /** Ids of the linked spans. */
  links: string[];
  /** Code of the error that the span ended with. */
  failure: string | undefined;
  startedAtMs: number;
  durationMs: number;
}

export interface OtlpReceiver {
  url: string;
  /** Headers of the requests so far. */
  headers: Record<string, unknown>[];
  /** Everything that arrived, as text. */
  texts: string[];
  /** In the order of their starts. */
  spans(): ReceivedSpan[];
  close(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const texts: string[] = [];
  const headers: Record<string, unknown>[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    texts.push(Buffer.concat(chunks).toString());
    headers.push(request.headers);
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    headers,
    texts,
    spans: () =>
      texts
        .flatMap((text) => (JSON.parse(text) as Export).resourceSpans)
        .flatMap(({ resource, scopeSpans }) =>
          scopeSpans.flatMap(({ spans }) => spans.map((span) => received(span, valuesOf(resource.attributes)))),
        )
        .sort((a, b) => a.startedAtMs - b.startedAtMs),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function received(span: ExportedSpan, resource: Record<string, unknown>): ReceivedSpan {
  const startedAtMs = Number(BigInt(span.startTimeUnixNano) / 1_000n) / 1_000;
  const endedAtMs = Number(BigInt(span.endTimeUnixNano) / 1_000n) / 1_000;
  return {
    name: span.name,
    kind: span.kind,
    traceId: span.traceId,
    spanId: span.spanId,
    parentId: span.parentSpanId,
    attributes: valuesOf(span.attributes),
    resource,
    events: span.events.map(({ name, attributes }) => ({ name, attributes: valuesOf(attributes) })),
    links: span.links.map(({ spanId }) => spanId),
    failure: span.status.message,
    startedAtMs,
    durationMs: Math.round(endedAtMs - startedAtMs),
  };
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.arrayValue ? value.arrayValue.values.map(plain) : plain(value)]),
  );
}

function plain({ stringValue, intValue, doubleValue, boolValue }: Value): unknown {
  return stringValue ?? (intValue === undefined ? undefined : Number(intValue)) ?? doubleValue ?? boolValue;
}
