// Exports everything that a program needs to use a running service, as sluice/client.
export type { WaitForBatchOptions } from "./batch-client.ts";
export type * from "./batch-types.ts";
export type { UploadOptions } from "./batch-upload.ts";
export { type CallOptions, SluiceClient, type SubmitOptions, type WaitOptions } from "./client.ts";
export {
  type BatchMistake,
  SluiceApiError,
  SluiceBatchError,
  SluiceConnectionError,
  SluiceTimeoutError,
} from "./client-errors.ts";
export type * from "./client-types.ts";
export type * from "./native-types.ts";
export type * from "./request-types.ts";
export type { ClientOptions } from "./transport.ts";
