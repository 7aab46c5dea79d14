// Why a store could not be opened: something that whoever starts the service has to put right.

/** The message is whole sentences and says what to do. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}
