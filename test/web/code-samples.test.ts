// The code that the dashboard offers runs as it is copied, whatever the prompt contains.
import { execFile } from "node:child_process";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { codeOf, type Language } from "../../web/src/code-samples.ts";
import { type ServerUnderTest, startServerUnderTest } from "../http/server-under-test.ts";

const run = promisify(execFile);
/** How a user runs a snippet of each language. */
const runners: Record<Language, (code: string) => [command: string, args: string[]]> = {
  curl: (code) => ["bash", ["-c", code.replace(/^curl/, "curl -sS")]],
  Python: (code) => ["python3", ["-c", code]],
  TypeScript: (code) => ["node", ["--input-type=module", "-e", code]],
};

let server: ServerUnderTest;
let url: string;
let key: string;
beforeAll(async () => {
  server = await startServerUnderTest();
  await server.app.listen({ host: "127.0.0.1", port: 0 });
  url = `http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`;
  key = (await server.post("/v1/keys", { name: "sample", admin: true })).body.key;
});
afterAll(() => server?.close());

const prompt = `@file "it's" $HOME \`id\` \\n %s\nsecond line, déjà vu 🙂 </script>`;

test.each(["curl", "Python", "TypeScript"] as const)(
  "%s submits a prompt as it is, and reads the job",
  async (language) => {
    const execute = async (call: Pick<Parameters<typeof codeOf>[1], "method" | "url" | "body">) => {
      const [command, args] = runners[language](codeOf(language, { ...call, needsKey: true }));
      const env = { ...process.env, SLUICE_API_KEY: key };
      return (await run(command, args, { env })).stdout;
    };
    const body = { prompt, environment: "UAT", priority: "interactive", max_tokens: 7 };
    const said = await execute({ method: "POST", url: `${url}/v1/jobs`, body });
    const id = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(said)![0];
    const asked = (await server.as(key).get(`/v1/jobs/${id}/request`)).body;
    expect(asked.messages).toEqual([{ role: "user", content: [{ type: "text", text: prompt }] }]);
    expect(asked.max_tokens).toBe(7);
    expect(await execute({ method: "GET", url: `${url}/v1/jobs/${id}` })).toContain(id);
  },
);

test("code for a service without keys names none", () => {
  for (const language of ["curl", "Python", "TypeScript"] as const) {
    expect(codeOf(language, { method: "GET", url, needsKey: false })).not.toMatch(/authorization|environ/i);
  }
});
