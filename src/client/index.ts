// sluice/client: what a program that talks to a running service may import.
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
