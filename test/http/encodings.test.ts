// Text that is not Unicode, and JSON in another encoding than UTF-8: refused on every route, never half understood.
import { afterAll, beforeAll, expect, test } from "vitest";
import { isOpenAiPath } from "../../src/wire/openai/openai-errors.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

type Method = "GET" | "POST" | "PATCH" | "DELETE";

interface Operation {
  parameters?: { name: string; in: string }[];
  requestBody?: { content: Record<string, { schema: { properties?: Record<string, unknown> } }> };
}

let server: ServerUnderTest;
let operations: { method: Method; path: string; operation: Operation }[];
beforeAll(async () => {
  server = await startServerUnderTest();
  const { paths } = (await server.get("/openapi.json")).body as { paths: Record<string, Record<string, Operation>> };
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase() as Method, path, operation })),
  );
});
afterAll(() => server.close());

const half = "\ud800";
const unknownJob = "00000000-0000-7000-8000-000000000000";
const urlOf = (path: string) => path.replace("{job_id}", unknownJob).replaceAll(/\{\w+\}/g, "x");
const readsBody = ({ method, path }: { method: Method; path: string }) => method !== "GET" && path !== "/v1/files";
/** Routes that send their body on as it is. Their errors have the form of another API. */
const isVerbatim = ({ path }: { path: string }) => /^\/(model|v1\/messages)\b/.test(path);

async function send(method: Method, url: string, payload?: string, type = "application/json") {
  const answer = await server.app.inject({
    ...{ method, url },
    ...(payload !== undefined && { payload, headers: { "content-type": type } }),
  });
  const { code, field, param, message } = answer.json().error ?? {};
  return { status: answer.statusCode, code, field: isOpenAiPath(url) ? (param ?? undefined) : field, message };
}

test("E7: half of a surrogate pair anywhere in a body is refused with its place, on every route", async () => {
  let count = 0;
  for (const { method, path, operation } of operations.filter((one) => readsBody(one) && !isVerbatim(one))) {
    const { properties = {} } = operation.requestBody?.content["application/json"]?.schema ?? {};
    const bodies: [body: object, field: string][] = [
      ...Object.keys(properties).flatMap((name): [object, string][] => [
        [{ [name]: half }, name],
        [{ [name]: ["x", { y: [`a${half}b`] }] }, `${name}[1].y[0]`],
      ]),
      [{ nonsense: { [half]: 1 } }, "nonsense"],
      [{ [half]: 1 }, "A name of the body"],
    ];
    for (const [body, field] of bodies) {
      const message = `${field} must be valid Unicode; it contains half of a surrogate pair.`;
      const answer = await send(method, urlOf(path), JSON.stringify(body));
      expect(answer, `${method} ${path} ${JSON.stringify(body)}`).toMatchObject({ status: 400, field, message });
      count++;
    }
  }
  expect(count).toBeGreaterThan(200);
});

test("E7: a body of text alone, or nested as deep as a body may be, is looked at too", async () => {
  expect(await send("POST", "/enqueue", JSON.stringify(half))).toMatchObject({ status: 400, code: "invalid_request" });
  // A body may have 350,000 values.
  const depth = 340_000;
  const deep = `{"prompt":${"[".repeat(depth)}"\\ud800"${"]".repeat(depth)}}`;
  const { status, field } = await send("POST", "/enqueue", deep);
  expect(status).toBe(400);
  expect(field).toMatch(/^prompt(\[0\]){19}$/);
});

test("E7: whole pairs, and escapes that are text, are taken", async () => {
  for (const prompt of ["\ud83d\ude00", "a\\ud800b", "\ufffd"]) {
    const escaped = JSON.stringify({ prompt, environment: "UAT" }).replace(/[\ud800-\udfff]/g, (unit) => {
      return `\\u${unit.charCodeAt(0).toString(16)}`;
    });
    expect(await send("POST", "/enqueue", escaped)).toMatchObject({ status: 200 });
  }
});

test("E7: a query or a path that is not UTF-8 is refused, on every route", async () => {
  for (const bad of ["%ED%A0%80", "%ff", "%", "%c3%28", "%uD800"]) {
    for (const { method, path, operation } of operations) {
      const names = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === "query")
        .map(({ name }) => name);
      const isProbe = /^\/(health|ready)z$/.test(path);
      for (const name of ["nonsense", ...names]) {
        const { status } = await send(method, `${urlOf(path)}?${name}=${bad}`);
        expect(status, `${method} ${path}?${name}=${bad}`).toBe(isProbe ? 200 : 400);
      }
      for (const part of path.match(/\{\w+\}/g) ?? []) {
        const { status } = await send(method, urlOf(path.replace(part, bad)));
        expect(status, `${method} ${path.replace(part, bad)}`).toBe(400);
      }
    }
  }
});

test("E8: JSON with another charset than UTF-8 is refused, on every route", async () => {
  for (const operation of operations.filter(readsBody)) {
    const { method, path } = operation;
    for (const charset of [
      "utf-16",
      "latin1",
      '"ISO-8859-1"',
      "utf-16le; x=y",
      "us-ascii",
      "utf-8-x",
      "utf-8; charset=utf-16",
    ]) {
      const answer = await send(method, urlOf(path), "{}", `application/json; charset=${charset}`);
      const field = "Content-Type";
      const error = isVerbatim(operation) ? {} : { code: "unsupported_media_type", field };
      expect(answer, `${method} ${path} ${charset}`).toMatchObject({ status: 415, ...error });
    }
  }
  const message = 'JSON must be UTF-8; got the charset "utf-16".';
  expect(await send("POST", "/enqueue", "{}", "application/json;charset=utf-16")).toMatchObject({ message });
});

test("E8: UTF-8 by any of its names is taken", async () => {
  const body = JSON.stringify({ prompt: "Größe?", environment: "UAT" });
  for (const charset of ["utf-8", "UTF-8", "utf8", '"utf-8"', "utf-8; x=y"]) {
    expect(await send("POST", "/enqueue", body, `application/json; charset=${charset}`)).toMatchObject({ status: 200 });
  }
});
