// What Converse is known to refuse, model by model, through the real SDK: the simulator refuses it in Bedrock's words.
import { ConverseCommand, ValidationException } from "@aws-sdk/client-bedrock-runtime";
import { expect, test } from "vitest";
import { notOfDraft } from "../../src/simulator/requested-schema.ts";
import { ask, failure, llama, simulate } from "./support.ts";

const nova = "us.amazon.nova-2-lite-v1:0";
const haiku45 = "global.anthropic.claude-haiku-4-5-20251001-v1:0";
const sonnet46 = "global.anthropic.claude-sonnet-4-6";
const opus5 = "global.anthropic.claude-opus-5";
const gptOss = "openai.gpt-oss-20b-1:0";

const user = { role: "user", content: [{ text: "Hi" }] };
const assistant = (text: string) => ({ role: "assistant", content: [{ text }] });
const spec = (json: unknown, more: object = {}) => ({ toolSpec: { name: "clock", inputSchema: { json }, ...more } });
const object = { type: "object" };
const withTools = (tools: object[], more: object = {}) => ({ toolConfig: { tools, ...more } });
const schemaType =
  "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.";
const said = "The model returned the following errors: ";
const both = { inferenceConfig: { temperature: 0.7, topP: 1 } };
const point = { cachePoint: { type: "default" } };
const use = (toolUseId: string) => ({ toolUse: { toolUseId, name: "clock", input: {} } });
const result = (toolUseId: string) => ({ toolResult: { toolUseId, content: [{ text: "noon" }] } });
const inSchema = `${said}output_config.format.schema: `;
const closedOnly = `${inSchema}For 'object' type, 'additionalProperties' must be explicitly set to false`;
const format = (schema: object) => ({
  outputConfig: {
    textFormat: { type: "json_schema", structure: { jsonSchema: { name: "a", schema: JSON.stringify(schema) } } },
  },
});
const noCache =
  "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information.";

test.each<[string, string, object, string]>([
  ["C1: a schema without a type", nova, withTools([spec({})]), schemaType],
  ["C1: alternatives at the root", llama, withTools([spec({ oneOf: [object] })]), schemaType],
  ["C1: a list of types", nova, withTools([spec({ type: ["object"] })]), schemaType],
  [
    "C1: alternatives at the root, on Claude also with a type",
    haiku45,
    withTools([spec({ ...object, anyOf: [object] })]),
    `${said}tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level`,
  ],
  [
    "properties that are a list",
    nova,
    withTools([spec({ ...object, properties: [] })]),
    "The format of the value at toolConfig.tools.0.toolSpec.inputSchema.json.properties is invalid. Provide a json object for the field and try again.",
  ],
  [
    "required that is a text",
    llama,
    withTools([spec({ ...object, required: "a" })]),
    "The format of the value at toolConfig.tools.0.toolSpec.inputSchema.json.required is invalid. Provide a list of strings for the field and try again.",
  ],
  [
    "a schema that is not of the draft, on Claude",
    haiku45,
    withTools([spec({ ...object, properties: { a: { type: "strng" } } })]),
    `${said}tools.0.custom.input_schema: ${notOfDraft}`,
  ],
  ["the same for an answer", sonnet46, format({ type: "strng" }), `${inSchema}${notOfDraft}`],
  ["C2: a schema of another type", nova, withTools([spec({ type: "array" })]), schemaType],
  [
    "C4: temperature with topP",
    sonnet46,
    both,
    `${said}\`temperature\` and \`top_p\` cannot both be specified for this model. Please use only one.`,
  ],
  ["temperature on Claude 5", opus5, both, `${said}\`temperature\` is deprecated for this model.`],
  [
    "C5: a blank stop text",
    haiku45,
    { inferenceConfig: { stopSequences: ["\n"] } },
    `${said}stop_sequences: each stop sequence must contain non-whitespace`,
  ],
  [
    "stop texts where there are none",
    gptOss,
    { inferenceConfig: { stopSequences: ["END"] } },
    "This model doesn't support the stopSequences field. Remove stopSequences and try again.",
  ],
  [
    "an empty stop text",
    nova,
    { inferenceConfig: { stopSequences: ["a", ""] } },
    "1 validation error detected: Value '' at 'inferenceConfig.stopSequences.2.member' failed to satisfy constraint: Member must have length greater than or equal to 1",
  ],
  [
    "C6: the assistant at the end, on Llama",
    llama,
    { messages: [user, assistant("{")] },
    "The model that you are using requires the last turn in the conversation to be a user message. Add a user message to the conversation and try again.",
  ],
  [
    "C6: the assistant at the end, on Claude 4.6",
    sonnet46,
    { messages: [user, assistant("{")] },
    `${said}This model does not support assistant message prefill. The conversation must end with a user message.`,
  ],
  [
    "C7: white space at the end of the assistant's text",
    haiku45,
    { messages: [user, assistant("{\n")] },
    `${said}messages: final assistant content cannot end with trailing whitespace`,
  ],
  [
    "C13: any tool on Llama",
    llama,
    withTools([spec(object)], { toolChoice: { any: {} } }),
    "This model doesn't support the toolConfig.toolChoice.any field. Remove toolConfig.toolChoice.any and try again.",
  ],
  [
    "C13: a certain tool on Llama 4",
    "us.meta.llama4-scout-17b-instruct-v1:0",
    withTools([spec(object)], { toolChoice: { tool: { name: "clock" } } }),
    "This model doesn't support the toolConfig.toolChoice.tool field. Remove toolConfig.toolChoice.tool and try again.",
  ],
  ["tools on DeepSeek R1", "us.deepseek.r1-v1:0", withTools([spec(object)]), "This model doesn't support tool use."],
  [
    "a tool's name with a blank",
    nova,
    withTools([{ toolSpec: { name: "a b", inputSchema: { json: object } } }]),
    "1 validation error detected: Value 'a b' at 'toolConfig.tools.1.member.toolSpec.name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
  ],
  ["two tools of one name", nova, withTools([spec(object), spec(object)]), `${said}tools: Tool names must be unique.`],
  [
    "an empty description",
    nova,
    withTools([spec(object, { description: "" })]),
    "1 validation error detected: Value '' at 'toolConfig.tools.1.member.toolSpec.description' failed to satisfy constraint: Member must have length greater than or equal to 1",
  ],
  [
    "uses of tools without tools",
    nova,
    { messages: [user, { role: "assistant", content: [use("a")] }, { role: "user", content: [result("a")] }] },
    "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
  ],
  [
    "a result too many",
    nova,
    { messages: [user, assistant("a"), { role: "user", content: [result("a")] }], ...withTools([spec(object)]) },
    "The number of toolResult blocks at messages.2.content exceeds the number of toolUse blocks of previous turn.",
  ],
  [
    "a result too few",
    nova,
    { messages: [user, { role: "assistant", content: [use("a")] }, user], ...withTools([spec(object)]) },
    "Expected toolResult blocks at messages.2.content for the following Ids: a",
  ],
  [
    "a cache point after the tools on Nova",
    nova,
    withTools([spec(object), point]),
    "Malformed input request: #/toolConfig/tools/1: extraneous key [cachePoint] is not permitted, please reformat your input and try again.",
  ],
  [
    "five cache points",
    haiku45,
    { messages: [{ role: "user", content: [{ text: "a" }, point, point, point, point, point] }] },
    `${said}A maximum of 4 blocks with cache_control may be provided. Found 5.`,
  ],
  [
    "topK above Nova's",
    nova,
    { additionalModelRequestFields: { inferenceConfig: { topK: 129 } } },
    "Malformed input request: #/inferenceConfig/topK: 129 is not less or equal to 128, please reformat your input and try again.",
  ],
  ["C10: an open object", haiku45, format({ type: "object" }), closedOnly],
  ["C10: an open object in a list", haiku45, format({ type: "array", items: object }), closedOnly],
  [
    "C11: bounds",
    haiku45,
    format({ type: "integer", minimum: 0, maximum: 5 }),
    `${inSchema}For 'integer' type, properties maximum, minimum are not supported`,
  ],
  [
    "C11: the length of a text",
    sonnet46,
    format({ type: "string", maxLength: 5 }),
    `${inSchema}For 'string' type, property 'maxLength' is not supported`,
  ],
  [
    "C11: the least number of items",
    haiku45,
    format({ type: "array", minItems: 2 }),
    `${inSchema}For 'array' type, 'minItems' values other than 0 or 1 are not supported (got: 2)`,
  ],
  ["C11: oneOf", haiku45, format({ oneOf: [object] }), `${inSchema}Schema type 'oneOf' is not supported`],
  [
    "a schema where there is no mode for it",
    nova,
    format(object),
    "This model doesn't support the outputConfig.textFormat field. Remove outputConfig.textFormat and try again.",
  ],
])("%s", async (_, modelId, fields, message) => {
  const { client } = await simulate();
  const error = await failure(client.send(new ConverseCommand({ ...ask("Hi", 10, modelId), ...(fields as object) })));
  expect(error).toBeInstanceOf(ValidationException);
  expect(error.message).toBe(message);
});

test("a cache point on a model without a cache is refused as access", async () => {
  const { client } = await simulate();
  const messages = [{ role: "user" as const, content: [{ text: "a" }, { cachePoint: { type: "default" as const } }] }];
  const error = await failure(client.send(new ConverseCommand({ ...ask("Hi", 10, llama), messages })));
  expect(error).toMatchObject({ name: "AccessDeniedException", message: noCache });
});
