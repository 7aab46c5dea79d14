// GET /v1/jobs/{id}?wait=: held until the job ends or the caller disconnects.

import { type AddressInfo, createConnection } from "node:net";
import { expect, vi } from "vitest";
import { test } from "../support/fixtures.ts";
import type { ServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
/** How many wait at this moment. */
let listeners = 0;
test.beforeEach(async ({ startServer }) => {
  server = await startServer();
  const { events } = server.context;
  const { subscribe } = events;
  listeners = 0;
  events.subscribe = (...args) => {
    const unsubscribe = subscribe(...args);
    listeners++;
    return () => {
      listeners--;
      unsubscribe();
    };
  };
});

const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { timeout: 10_000, interval: 5 });

test("answers as soon as the job has ended", async () => {
  const jobId = await server.enqueue();
  const answer = server.get(`/v1/jobs/${jobId}?wait=60`);
  await until(() => listeners === 1);
  await server.context.end(jobId, { status: "completed", text: "Because." });
  expect((await answer).body).toMatchObject({ status: "completed", text: "Because." });
  expect(listeners).toBe(0);
});

test("a job that has ended is answered at once, and without a wait a job is answered as it is", async () => {
  const jobId = await server.enqueue();
  expect((await server.get(`/v1/jobs/${jobId}?wait=0`)).body.status).toBe("queued");
  await server.post(`/v1/jobs/${jobId}/cancel`);
  expect((await server.get(`/v1/jobs/${jobId}?wait=60`)).body.status).toBe("cancelled");
});

test("after the time it answers with the job as it is", async () => {
  const jobId = await server.enqueue();
  const { status, body } = await server.get(`/v1/jobs/${jobId}?wait=1`);
  expect(status).toBe(200);
  expect(body.status).toBe("queued");
  expect(listeners).toBe(0);
});

test("many may wait for one job", async () => {
  const jobId = await server.enqueue();
  const answers = Array.from({ length: 20 }, () => server.get(`/v1/jobs/${jobId}?wait=60`));
  await until(() => listeners === 20);
  await server.post(`/v1/jobs/${jobId}/cancel`);
  for (const answer of await Promise.all(answers)) expect(answer.body.status).toBe("cancelled");
});

test("who has gone is not waited for", async () => {
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  const jobId = await server.enqueue();
  const { port } = server.app.server.address() as AddressInfo;
  const socket = createConnection(port, "127.0.0.1");
  socket.write(`GET /v1/jobs/${jobId}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await until(() => listeners === 1);
  socket.destroy();
  await until(() => listeners === 0);
  expect((await server.get(`/v1/jobs/${jobId}`)).status).toBe(200);
});

test("closing the server lets those who wait go, with the job as it is", async () => {
  const url = await server.app.listen({ host: "127.0.0.1", port: 0 });
  const jobId = await server.enqueue();
  const answer = fetch(`${url}/v1/jobs/${jobId}?wait=60`);
  await until(() => listeners === 1);
  await server.app.close();
  expect(await (await answer).json()).toMatchObject({ job_id: jobId, status: "queued" });
});
