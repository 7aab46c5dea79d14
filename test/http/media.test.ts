// Images and documents in each API: what is stored, and what is refused with the caller's field.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { base64, dataUrl, gif, jpeg, pdf, png, webp } from "../support/media.ts";
import { type ServerUnderTest, startServerUnderTest } from "./server-under-test.ts";

let server: ServerUnderTest;
beforeAll(async () => {
  const deployment = (modelId: string) => ({ maxOutputTokens: 100, deployments: [{ region: "us-east-1", modelId }] });
  server = await startServerUnderTest({
    models: {
      haiku: deployment("global.anthropic.claude-haiku-4-5-20251001-v1:0"),
      nova: deployment("us.amazon.nova-lite-v1:0"),
      micro: deployment("us.amazon.nova-micro-v1:0"),
      llama: deployment("us.meta.llama3-3-70b-instruct-v1:0"),
      own: { deployments: [{ region: "us-east-1", modelId: "arn:aws:bedrock:us-east-1:123456789012:x/y" }] },
    },
    defaultModel: "haiku",
    limits: { maxRequestBytes: 32 * 1024 * 1024, maxMediaBytes: 8 * 1024 * 1024 },
  });
});
afterAll(() => server.close());

/** How each API says the same: a message of the user with these parts, and a job's request with it. */
const apis = {
  chat: {
    url: "/v1/chat/completions",
    body: (role: string, content: unknown[]) => ({ dry_run: true, messages: [{ role, content }] }),
    text: (text: string) => ({ type: "text", text }),
    image: (url: string) => ({ type: "image_url", image_url: { url } }),
    imageField: "messages[0].content[0].image_url",
    file: (url: string, filename?: string) => ({ type: "file", file: { file_data: url, filename } }),
    fileField: "messages[0].content[0].file.file_data",
  },
  responses: {
    url: "/v1/responses",
    body: (role: string, content: unknown[]) => ({ dry_run: true, input: [{ role, content }] }),
    text: (text: string) => ({ type: "input_text", text }),
    image: (url: string) => ({ type: "input_image", image_url: url, detail: "auto" }),
    imageField: "input[0].content[0].image_url",
    file: (url: string, filename?: string) => ({ type: "input_file", file_data: url, filename }),
    fileField: "input[0].content[0].file_data",
  },
};

describe.each(Object.entries(apis))("%s", (_name, api) => {
  const ask = async (content: unknown[], fields: object = {}, role = "user") => {
    const { status, body } = await server.post(api.url, { ...api.body(role, content), ...fields });
    return [status, body.error?.param ?? undefined, body.error?.message] as const;
  };
  const text = api.text("What is this?");

  test.each([
    ["png", dataUrl("image/png", png())],
    ["jpeg", dataUrl("image/jpeg", jpeg())],
    ["image/jpg", dataUrl("image/jpg", jpeg())],
    ["gif", dataUrl("image/gif", gif())],
    ["webp", dataUrl("image/webp", webp("VP8L"))],
    ["upper case", `DATA:IMAGE/PNG;BASE64,${base64(png())}`],
    ["parameters", `data:image/png;name=a.png;charset=utf-8;base64,${base64(png())}`],
    ["line breaks", ` data:image/png;base64,${base64(png()).replace(/.{8}/g, "$&\r\n")}`],
    ["the alphabet for URLs", `data:image/jpeg;base64,${jpeg(1, 1).toString("base64url")}`],
    ["no padding", dataUrl("image/png", png()).replace(/=+$/, "")],
    ["percent-encoding", dataUrl("image/jpeg", jpeg()).replaceAll("/", "%2F").replace("image%2Fjpeg", "image/jpeg")],
  ])("an image is accepted with %s", async (_kind, url) => {
    expect(await ask([api.image(url), text])).toEqual([200, undefined, undefined]);
  });

  test.each([
    ["an address", "https://example.com/cat.png", "Sluice does not fetch URLs; send the image as a data URL."],
    ["another address", "s3://bucket/cat.png", "Sluice does not fetch URLs; send the image as a data URL."],
    ["base64 alone", base64(png()), "must be a data URL such as"],
    ["nothing", "", "must be a data URL such as"],
    ["no comma", "data:image/png;base64", "must be a data URL with base64"],
    ["no base64", "data:image/png,abc", "must be a data URL with base64"],
    ["no type", `data:;base64,${base64(png())}`, 'got "".'],
    ["another type", dataUrl("image/svg+xml", Buffer.from("<svg/>")), 'got "image/svg+xml".'],
    ["a type that it is not", dataUrl("image/png", jpeg()), "is declared as image/png, but its bytes are image/jpeg."],
    ["bytes of no image", dataUrl("image/png", Buffer.from("hello")), "its bytes are none of"],
    ["no bytes", "data:image/png;base64,", "must not be empty."],
    ["only padding", "data:image/png;base64,==", "must not be empty."],
    ["broken base64", "data:image/png;base64,iVBO*Rw0", 'must be base64; it contains "*".'],
    ["cut base64", "data:image/png;base64,iVBOR", "must be base64; it is cut off."],
    ["a lonely %", "data:image/png;base64,iVBO%zzRw0", "must not contain a %"],
  ])("an image is refused with %s", async (_kind, url, message) => {
    const [status, param, said] = await ask([api.image(url), text]);
    expect([status, param]).toEqual([400, api.imageField]);
    expect(said).toContain(message);
    expect(said.length).toBeLessThan(300);
  });

  test("a document is accepted by its type, or by its name", async () => {
    const url = dataUrl("application/pdf", pdf());
    for (const file of [
      api.file(url, "a/b: Überblick?.pdf"),
      api.file(url),
      api.file(base64(pdf()), "report.PDF"),
      api.file(dataUrl("application/octet-stream", Buffer.from("a,b\n1,2")), "table.csv"),
      api.file(dataUrl("text/plain", Buffer.from("Hello.")), "hello.txt"),
    ]) {
      expect(await ask([file, text])).toEqual([200, undefined, undefined]);
    }
  });

  test.each([
    ["an address", "https://example.com/a.pdf", "a.pdf", "Sluice does not fetch URLs"],
    ["bytes of something else", dataUrl("application/pdf", png()), "a.pdf", "its bytes are something else"],
    ["an unknown type", dataUrl("application/zip", Buffer.from("PK\x03\x04")), "a.zip", 'got "application/zip"'],
    ["no type", base64(pdf()), "report", "got no media type"],
    ["no bytes", "data:application/pdf;base64,", "a.pdf", "must not be empty."],
  ])("a document is refused with %s", async (_kind, url, name, message) => {
    const [status, param, said] = await ask([api.file(url, name), text]);
    expect([status, param]).toEqual([400, api.fileField]);
    expect(said).toContain(message);
  });

  test("what Bedrock refuses is refused with the place", async () => {
    const image = api.image(dataUrl("image/png", png()));
    const file = api.file(dataUrl("application/pdf", pdf()), "a.pdf");
    const at = (field: string, i: number) => field.replace("[0].content[0]", `[0].content[${i}]`);
    const wide = api.image(dataUrl("image/png", png(8001, 10)));
    const heavy = api.image(dataUrl("image/png", Buffer.concat([png(), Buffer.alloc(3.75 * 1024 * 1024)])));
    const thick = api.file(
      dataUrl("application/pdf", Buffer.concat([pdf(), Buffer.alloc(4.5 * 1024 * 1024)])),
      "a.pdf",
    );
    expect((await ask([...Array(20).fill(image), text]))[0]).toBe(200);
    expect(await ask([...Array(21).fill(image), text])).toEqual([
      400,
      at(api.imageField, 20),
      expect.stringContaining("is image 21; the model haiku accepts at most 20"),
    ]);
    expect(await ask([wide, text])).toEqual([400, api.imageField, expect.stringContaining("8001 x 10 pixels")]);
    expect(await ask([heavy, text])).toEqual([400, api.imageField, expect.stringContaining("accepts at most 3932160")]);
    expect(await ask([thick, text])).toEqual([400, api.fileField, expect.stringContaining("accepts at most 4718592")]);
    expect(await ask([...Array(6).fill(file), text])).toEqual([
      400,
      at(api.fileField, 5),
      expect.stringContaining("is document 6"),
    ]);
    expect(await ask([file])).toEqual([
      400,
      api.fileField,
      expect.stringContaining("must have a text in the same message"),
    ]);
    expect(await ask([file, api.text("  ")])).toEqual([400, api.fileField, expect.stringContaining("text")]);
  });

  test("an image alone is a message", async () => {
    expect((await ask([api.image(dataUrl("image/png", png()))]))[0]).toBe(200);
  });

  test("an image is refused where the model has no vision, with the names of models that have", async () => {
    const [status, param, said] = await ask([api.image(dataUrl("image/png", png())), text], { model: "llama" });
    expect([status, param]).toEqual([400, api.imageField]);
    expect(said).toBe(
      `${api.imageField} must not be set: the model llama does not accept images. Use a model that can: haiku, nova, own.`,
    );
    expect(
      (await ask([api.file(dataUrl("text/plain", Buffer.from("x")), "a.txt"), text], { model: "micro" }))[2],
    ).toContain("the model micro does not accept documents");
  });

  test("a model that the catalogue does not know gets it", async () => {
    expect((await ask([api.image(dataUrl("image/png", png())), text], { model: "own" }))[0]).toBe(200);
  });

  test.each(["assistant", "system", "developer"])("an image is refused in a message of the role %s", async (role) => {
    const [status, param] = await ask([api.image(dataUrl("image/png", png()))], {}, role);
    expect([status, String(param).startsWith(api.imageField.replace(".image_url", ""))]).toEqual([400, true]);
  });

  test("images and documents together have a limit of their own", async () => {
    const image = api.image(dataUrl("image/png", Buffer.concat([png(), Buffer.alloc(3 * 1024 * 1024)])));
    const [status, , said] = await ask([image, image, image, text]);
    expect([status, said]).toEqual([413, expect.stringContaining("(limits.maxMediaBytes)")]);
  });
});

test("an uploaded file and audio are refused with a sentence", async () => {
  const chat = (part: object) => server.post("/v1/chat/completions", { messages: [{ role: "user", content: [part] }] });
  const file = await chat({ type: "file", file: { file_id: "file-1" } });
  expect([file.status, file.body.error.param]).toEqual([400, "messages[0].content[0].file.file_id"]);
  const audio = await chat({ type: "input_audio", input_audio: { data: "", format: "wav" } });
  expect([audio.status, audio.body.error.param]).toEqual([400, "messages[0].content[0].type"]);
  const response = (part: object) => server.post("/v1/responses", { input: [{ role: "user", content: [part] }] });
  const image = await response({ type: "input_image", file_id: "file-1", image_url: null });
  expect([image.status, image.body.error.param]).toEqual([400, "input[0].content[0].file_id"]);
  const url = await response({ type: "input_file", file_url: "https://example.com/a.pdf" });
  expect([url.status, url.body.error.param]).toEqual([400, "input[0].content[0].file_url"]);
});

test("blocks of /v1/jobs are stored, counted and shown", async () => {
  const content = [
    { type: "image", media_type: "image/png", data: base64(png()), detail: "low" },
    { type: "document", media_type: "application/pdf", name: "report.pdf", data: base64(pdf(2)) },
    { type: "text", text: "Compare." },
  ];
  const job = await server.post("/v1/jobs", { environment: "UAT", messages: [{ role: "user", content }] });
  expect(job.status, job.text).toBe(200);
  const { body } = await server.get(`/v1/jobs/${job.body.job_id}/request`);
  expect(body.messages).toEqual([{ role: "user", content }]);
  const stored = (await server.context.store.get(job.body.job_id))!.job;
  // One image of Haiku and two pages, beside the text.
  expect(stored.tokens.input).toBeGreaterThan(1_600 + 2 * 1_500);
  expect(stored.tokens.input).toBeLessThan(1_600 + 2 * 1_500 + 100);
});

test.each([
  [{ media_type: "image/png", data: "https://example.com/cat.png" }, "does not fetch URLs"],
  [{ media_type: "image/bmp", data: base64(png()) }, 'got "image/bmp"'],
  [{ media_type: "image/png", data: "" }, "must not be empty"],
])("an image %j of /v1/jobs is refused", async (image, message) => {
  const messages = [{ role: "user", content: [{ type: "image", ...image }] }];
  const { status, body } = await server.post("/v1/jobs", { environment: "UAT", messages });
  expect([status, body.error.field, body.error.message]).toEqual([
    400,
    "messages[0].content[0]",
    expect.stringContaining(message),
  ]);
});

test("a guess about a document refuses no job", async () => {
  const file = { file_data: dataUrl("application/pdf", pdf(1_000)), filename: "a.pdf" };
  const content = [
    { type: "file", file },
    { type: "text", text: "Summarise." },
  ];
  const { status, text } = await server.post("/v1/chat/completions", {
    messages: [{ role: "user", content }],
    dry_run: true,
  });
  expect(status, text).toBe(200);
});
