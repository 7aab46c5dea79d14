// GET /v1/models and the aliases in its paths.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

const aliases = ["meta-llama/Llama-3.3", "a/b/c", "plain", "with:colon/and.dot"];

let server: ServerUnderTest;
beforeAll(async () => {
  const deployment = (modelId: string) => ({ provider: "openai" as const, baseUrl: "http://127.0.0.1:9/v1", modelId });
  const models = aliases.map((alias, i) => [alias, { deployments: [deployment(`m${i}`)] }]);
  server = await startServerUnderTest({ defaultModel: "plain", models: Object.fromEntries(models) });
});
afterAll(() => server.close());

test("D10: a model is found by its alias, slashes and all, written as it is or escaped", async () => {
  const listed = (await server.get("/v1/models")).body.data.map(({ id }: { id: string }) => id);
  expect(listed).toEqual(aliases);
  for (const id of aliases) {
    for (const path of [id, encodeURIComponent(id), id.replaceAll(":", "%3A")]) {
      const { status, body } = await server.get(`/v1/models/${path}`);
      expect({ status, ...body }, path).toMatchObject({ status: 200, id, object: "model" });
    }
  }
});

test("D10: an alias that there is not is OpenAI's model_not_found, whatever its slashes", async () => {
  for (const path of ["x", "meta-llama", "meta-llama/", "meta-llama/x", "a//b/c", "plain/", "__proto__", "a%2Fb"]) {
    const { status, body } = await server.get(`/v1/models/${path}`);
    expect({ status, ...body.error }, path).toMatchObject({ status: 404, code: "model_not_found", param: "model" });
  }
  expect((await server.get("/v1/models/a/b/c?x=1")).body.error).toMatchObject({ param: "x" });
  for (const path of ["plain", "a/b/c"]) {
    const answer = await server.post(`/v1/models/${path}`, {});
    expect([answer.status, answer.headers.allow], path).toEqual([405, "GET, HEAD"]);
  }
});
