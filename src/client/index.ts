// Exports everything that a program needs to use a running service, as sluice/client.
export type {
  BatchInputOptions,
  BatchItem,
  BatchOptions,
  BatchProgress,
  BatchResource,
  BatchResult,
} from "./batch-client.ts";
export { type CallOptions, SluiceClient, type SubmitOptions, type WaitOptions } from "./client.ts";
export {
  type BatchMistake,
  SluiceApiError,
  SluiceBatchError,
  SluiceConnectionError,
  SluiceTimeoutError,
} from "./client-errors.ts";
export type * from "./client-types.ts";
export type { ClientOptions } from "./transport.ts";
