// Defines how each API names the fields that errors mention.

export interface FieldNames {
  system: string;
  messages: string;
  reasoningEffort: string;
  /** Returns the name of the schema of the tool with this index. */
  toolSchema(index: number): string;
  /** The name of the response format, and of its schema. */
  format: string;
  outputSchema: string;
}

/** The names of `POST /v1/jobs`. */
export const jobFieldNames: FieldNames = {
  system: "system",
  messages: "messages",
  reasoningEffort: "reasoning_effort",
  toolSchema: (index) => `tools[${index}].input_schema`,
  format: "response_format",
  outputSchema: "response_format.schema",
};
