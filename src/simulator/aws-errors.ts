// The errors of Bedrock Runtime, with their statuses and messages.

/** Statuses from the SDK's schema and, for the transport's own errors, from AWS's documentation. */
const errorStatuses = {
  AccessDeniedException: 403,
  ConflictException: 400,
  ExpiredTokenException: 403,
  IncompleteSignatureException: 403,
  InternalServerException: 500,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  ModelErrorException: 424,
  ModelNotReadyException: 429,
  ModelStreamErrorException: 424,
  ModelTimeoutException: 408,
  RequestEntityTooLargeException: 413,
  ResourceNotFoundException: 404,
  SerializationException: 400,
  ServiceQuotaExceededException: 400,
  ServiceUnavailableException: 503,
  ThrottlingException: 429,
  UnknownOperationException: 404,
  UnrecognizedClientException: 403,
  ValidationException: 400,
} as const;

export type BedrockErrorName = keyof typeof errorStatuses;

export const tooManyRequests = "Too many requests, please wait before trying again.";
export const tooManyTokens = "Too many tokens, please wait before trying again.";
export const tooManyTokensPerDay = "Too many tokens per day, please wait before trying again.";

/** A name from the table above, or any other name. Another name needs an explicit status. */
export type AnyErrorName = BedrockErrorName | (string & {});

/** Returns the status of an error, or undefined for a name that is not in the table. */
export function statusOf(name: string): number | undefined {
  return Object.hasOwn(errorStatuses, name) ? errorStatuses[name as BedrockErrorName] : undefined;
}

/** Returns the message of an injected error whose fault sets none. */
export function defaultMessage(name: string): string {
  if (name === "ThrottlingException") return tooManyRequests;
  if (name === "ServiceUnavailableException") return "Bedrock is unable to process your request.";
  return `${name}, injected by the simulator.`;
}

/** A request that is refused with an HTTP error. */
export class BedrockError extends Error {
  override readonly name: string;
  readonly status: number;

  constructor(name: BedrockErrorName, message: string);
  constructor(name: string, message: string, status: number);
  constructor(name: string, message: string, status = statusOf(name) ?? 500) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

/** Creates a ValidationException. */
export function invalid(message: string): BedrockError {
  return new BedrockError("ValidationException", message);
}

/** Returns a refusal of a model's maker, as Bedrock passes it on. */
export function byModel(message: string): BedrockError {
  return invalid(`The model returned the following errors: ${message}`);
}

/** Returns the refusal of a field that a model does not have. */
export function unsupported(field: string): BedrockError {
  return invalid(`This model doesn't support the ${field} field. Remove ${field} and try again.`);
}
