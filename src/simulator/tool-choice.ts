// Which of the tools of a request the simulator calls, so that an agent gets to try each of them and comes to an end.

export interface SimulatedTool {
  name: string;
  /** JSON Schema of its input. */
  schema: unknown;
}

export interface ToolSituation {
  tools: readonly SimulatedTool[];
  /** `any` must call one of them, a name that one. */
  choice: "auto" | "any" | "none" | { name: string };
  /** The last thing that the user said. */
  prompt: string;
  /** Names of the tools that were called since then. */
  called: readonly string[];
}

/**
 * A tool that must be called is called. Where any must be, those that were not called yet come first, in their order, and
 * then the last one, which agents use for their final answer. Where none must be, one is called for each thing that the
 * user says: the one whose name the user mentions, or the first.
 */
export function chooseTool({ tools, choice, prompt, called }: ToolSituation): SimulatedTool | undefined {
  if (tools.length === 0 || choice === "none") return undefined;
  if (typeof choice === "object") return tools.find(({ name }) => name === choice.name);
  if (choice === "any") return tools.find(({ name }) => !called.includes(name)) ?? tools.at(-1);
  if (called.length > 0) return undefined;
  const said = words(prompt);
  return tools.find(({ name }) => said.includes(words(name))) ?? tools[0];
}

/** Without case, and with blanks for whatever else there is between words. */
function words(text: string): string {
  return ` ${
    text
      .toLowerCase()
      .match(/[a-z0-9]+/g)
      ?.join(" ") ?? ""
  } `;
}
