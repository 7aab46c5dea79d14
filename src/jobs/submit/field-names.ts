// What each API calls the parts of a request whose refusal names them.

export interface FieldNames {
  system: string;
  messages: string;
  reasoningEffort: string;
  /** The schema of the tool with this index. */
  toolSchema(index: number): string;
  /** The form that the answer must have, and the schema in it. */
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
