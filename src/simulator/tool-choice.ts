// Chooses which tool of a request the simulator calls, so that an agent tries each of them and then ends.

/** A tool that the simulator may call. */
export interface SimulatedTool {
  name: string;
  /** JSON Schema of the tool's input. */
  schema: unknown;
}

/** What the choice of a tool depends on. */
export interface ToolSituation {
  tools: readonly SimulatedTool[];
  /** `any` requires a call of one of the tools, a name requires that tool. */
  choice: "auto" | "any" | "none" | { name: string };
  /** The user's last message. */
  prompt: string;
  /** Names of the tools that were called since that message. */
  called: readonly string[];
}

/**
 * Chooses a tool. A named tool is called. With `any`, tools that were not called yet come first, in their order, and
 * then the last one, which agents use for their final answer. With `auto`, one tool is called per user message: the one
 * that the message names, or the first.
 */
export function chooseTool({ tools, choice, prompt, called }: ToolSituation): SimulatedTool | undefined {
  if (tools.length === 0 || choice === "none") return undefined;
  if (typeof choice === "object") return tools.find(({ name }) => name === choice.name);
  if (choice === "any") return tools.find(({ name }) => !called.includes(name)) ?? tools.at(-1);
  if (called.length > 0) return undefined;
  const said = words(prompt);
  return tools.find(({ name }) => said.includes(words(name))) ?? tools[0];
}

/** Returns the text in lower case, with single spaces between words. */
function words(text: string): string {
  return ` ${
    text
      .toLowerCase()
      .match(/[a-z0-9]+/g)
      ?.join(" ") ?? ""
  } `;
}
