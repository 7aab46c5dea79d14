// From the canonical request to what Converse and ConverseStream take. Both take the same.
import type {
  ContentBlock as BedrockBlock,
  Message as BedrockMessage,
  ConverseStreamCommandInput,
  ToolConfiguration,
} from "@aws-sdk/client-bedrock-runtime";
import { type CanonicalRequest, type ContentBlock, normaliseMessages } from "../../domain/request.ts";

export function toConverse(modelId: string, request: CanonicalRequest): ConverseStreamCommandInput {
  const { maxTokens, temperature, topP, stop } = request.parameters;
  const tools = toToolConfig(request);
  return {
    modelId,
    messages: normaliseMessages(request.messages).map(toMessage),
    ...(request.system?.trim() ? { system: [{ text: request.system }] } : {}),
    inferenceConfig: {
      // Always sent: without it Bedrock reserves the model's own maximum from the quota.
      maxTokens,
      ...(temperature === undefined ? {} : { temperature }),
      ...(topP === undefined ? {} : { topP }),
      ...(stop?.length ? { stopSequences: stop } : {}),
    },
    ...(tools ? { toolConfig: tools } : {}),
  };
}

function toMessage(message: CanonicalRequest["messages"][number]): BedrockMessage {
  return { role: message.role, content: message.content.map(toBlock) };
}

/** A JSON value; the SDK's own type for it is not exported under a name. */
type Json = NonNullable<NonNullable<BedrockBlock["toolUse"]>["input"]>;

function toBlock(block: ContentBlock): BedrockBlock {
  switch (block.type) {
    case "text":
      return { text: block.text };
    case "tool_call":
      return { toolUse: { toolUseId: block.id, name: block.name, input: block.input as Json } };
    case "tool_result":
      return {
        toolResult: {
          toolUseId: block.callId,
          // A blank text is refused, but a tool may well have nothing to say.
          content: [{ text: block.text.trim() === "" ? "(empty)" : block.text }],
          ...(block.isError ? { status: "error" } : {}),
        },
      };
    case "cache_point":
      return { cachePoint: { type: "default", ...block.cache } };
  }
}

function toToolConfig(request: CanonicalRequest): ToolConfiguration | undefined {
  if (!request.tools?.length) return undefined;
  const choice = request.toolChoice;
  return {
    tools: request.tools.map((tool) => ({
      toolSpec: {
        name: tool.name,
        ...(tool.description ? { description: tool.description } : {}),
        inputSchema: { json: tool.inputSchema as Json },
      },
    })),
    // "none" has no word in Converse, and a conversation that used tools must go on naming them.
    ...(choice === undefined || choice === "none"
      ? {}
      : {
          toolChoice:
            choice === "auto" ? { auto: {} } : choice === "required" ? { any: {} } : { tool: { name: choice.name } },
        }),
  };
}
