// Serves /v1/files: OpenAI's API for the input and output of batches.
import { Readable } from "node:stream";
import Type from "typebox";
import { quote, SluiceError } from "../../domain/errors.ts";
import { deleteUnusedFile } from "../../jobs/batches/delete-file.ts";
import { filePurposes, listFiles, readFile, requireFile } from "../../jobs/files/files.ts";
import { uploadFile } from "../../jobs/files/upload-file.ts";
import type { JobsContext } from "../../jobs/jobs-context.ts";
import { deleteReadFile, erasesByReading } from "../../jobs/retention/first-read.ts";
import { fileResource } from "../../wire/openai/batch-resource.ts";
import { expiresAfter, expiresInMsOf } from "../../wire/openai/expires-after.ts";
import { environmentHeader, environmentOf } from "../environment-header.ts";
import { onceAllSent } from "../erase-once-read.ts";
import { errorResponses } from "../error-responses.ts";
import { compileQueryOnly } from "../hooks/validation.ts";
import type { HttpServer } from "../http-types.ts";
import { idempotencyHeaders, onceOf } from "../idempotency-header.ts";
import { receiveUpload, type UploadForm } from "../multipart-upload.ts";
import { afterField, listOf, listSchema, pageLimit } from "../pages.ts";

const params = Type.Object({ file_id: Type.String() });
const maxPage = 10_000;

export function fileRoutes(app: HttpServer, context: JobsContext): void {
  const { settings } = context;
  const tags = ["openai"];
  const notFound = errorResponses(["file_not_found", "unavailable"], "OpenAIError");

  app.post(
    "/v1/files",
    {
      config: { upload: true },
      schema: {
        tags,
        operationId: "createFile",
        summary: "Upload the input file of a batch",
        description: `A form with a file of at most ${settings.limits.maxFileBytes} bytes. Sluice stores the file durably while it arrives.`,
        consumes: ["multipart/form-data"],
        headers: Type.Object({ ...idempotencyHeaders.properties, ...environmentHeader }),
        body: Type.Unsafe<unknown>({
          type: "object",
          properties: {
            file: { type: "string", format: "binary" },
            purpose: { type: "string", enum: ["batch"] },
            expires_after: expiresAfter("file"),
          },
          required: ["file", "purpose"],
        }),
        response: {
          200: Type.Ref("File#"),
          ...errorResponses(
            [
              ...(["invalid_request", "unknown_environment", "too_large", "unsupported_media_type"] as const),
              ...(["idempotency_conflict", "limit_exceeded", "storage_full", "unavailable", "fate_unknown"] as const),
            ],
            "OpenAIError",
          ),
        },
      },
      // The handler reads the form as a stream.
      validatorCompiler: compileQueryOnly,
    },
    async (request, reply) => {
      if (!/^multipart\/form-data\b/i.test(request.headers["content-type"] ?? "")) {
        throw new SluiceError(
          "unsupported_media_type",
          "The Content-Type must be multipart/form-data. Send the file as a form.",
        );
      }
      const environment = environmentOf(request, settings);
      const once = onceOf(request, "file");
      // Checks the free disk space, because a file is the largest possible input.
      await context.limits?.check([]);
      try {
        const file = await receiveUpload({
          request: request.raw,
          maxFileBytes: settings.limits.maxFileBytes,
          store: (bytes, form) =>
            uploadFile(context, {
              ...{ environment, caller: request.caller, once, bytes },
              describe: async () => batchFile(await form()),
            }),
        });
        return fileResource(file);
      } catch (error) {
        // The rest of the form is not read.
        if (!request.raw.complete) reply.header("connection", "close");
        throw error;
      }
    },
  );

  app.get(
    "/v1/files",
    {
      schema: {
        tags,
        operationId: "listFiles",
        summary: "List files",
        querystring: Type.Object(
          {
            purpose: Type.Optional(Type.Enum([...filePurposes])),
            after: afterField("file"),
            limit: pageLimit({ usual: maxPage, max: maxPage }),
            order: Type.Optional(Type.Enum(["asc", "desc"], { description: "Order by creation time. Default: desc." })),
          },
          { additionalProperties: false },
        ),
        response: {
          200: listSchema(Type.Ref("File#")),
          ...errorResponses(["invalid_request", "file_not_found", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ query, caller }) => {
      const { purpose, after, limit = maxPage, order } = query;
      if (after !== undefined) await requireFile(context, after, caller);
      const { files, more } = await listFiles(context, { purpose, after, limit, ascending: order === "asc" }, caller);
      return listOf(files.map(fileResource), more);
    },
  );

  app.get(
    "/v1/files/:file_id",
    {
      schema: {
        tags,
        operationId: "retrieveFile",
        summary: "Get a file's metadata",
        params,
        response: { 200: Type.Ref("File#"), ...notFound },
      },
    },
    async ({ params, caller }) => fileResource(await requireFile(context, params.file_id, caller)),
  );

  app.get(
    "/v1/files/:file_id/content",
    {
      schema: {
        tags,
        operationId: "downloadFile",
        summary: "Download a file",
        params,
        response: {
          200: {
            content: {
              "application/octet-stream": { schema: Type.Unsafe<Readable>({ type: "string", format: "binary" }) },
            },
          },
          ...notFound,
        },
      },
    },
    async ({ params, caller }, reply) => {
      const file = await requireFile(context, params.file_id, caller);
      const bytes = await readFile(context, file);
      if (erasesByReading(context, file, caller)) onceAllSent(reply, file.bytes, () => deleteReadFile(context, file));
      reply.headers({
        "content-type": "application/octet-stream",
        "content-length": file.bytes,
        "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.filename)}`,
      });
      return reply.send(Readable.from(bytes, { objectMode: false }));
    },
  );

  app.delete(
    "/v1/files/:file_id",
    {
      schema: {
        tags,
        operationId: "deleteFile",
        summary: "Delete a file",
        description: "A file that an unfinished batch reads cannot be deleted.",
        params,
        response: {
          200: Type.Object({ id: Type.String(), object: Type.Literal("file"), deleted: Type.Boolean() }),
          ...errorResponses(["file_not_found", "conflict", "unavailable"], "OpenAIError"),
        },
      },
    },
    async ({ params, caller }) => {
      await deleteUnusedFile(context, params.file_id, caller);
      return { id: params.file_id, object: "file" as const, deleted: true };
    },
  );
}

/**
 * Returns what to store of a batch file's form.
 * @throws SluiceError `invalid_request`
 */
function batchFile({ filename, purpose, expiresAfter }: UploadForm) {
  const expiresInMs = expiresAfter && expiresInMsOf(expiresAfter);
  if (purpose === "batch") return { filename, purpose, expiresInMs } as const;
  throw new SluiceError("invalid_request", `purpose must be batch; got ${quote(purpose)}.`, { field: "purpose" });
}
