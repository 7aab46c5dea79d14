// A process of its own for bench/tracing.ts: takes spans in OTLP over HTTP, as JSON, and counts them.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

interface Export {
  resourceSpans?: { scopeSpans?: { spans?: unknown[] }[] }[];
}

let spans = 0;
const server = createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { resourceSpans = [] } = JSON.parse(Buffer.concat(chunks).toString()) as Export;
  for (const { scopeSpans = [] } of resourceSpans) for (const scope of scopeSpans) spans += scope.spans?.length ?? 0;
  response.writeHead(200, { "content-type": "application/json" }).end("{}");
}).listen(0, "127.0.0.1", () => process.send!((server.address() as AddressInfo).port));

process.on("message", (message) => {
  if (message === "count") {
    process.send!(spans);
    spans = 0;
    return;
  }
  server.close();
  server.closeAllConnections();
  process.disconnect();
});
