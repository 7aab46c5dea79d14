// The SDK's types of Converse, as JSON has them.

/** A type of the SDK as it is in JSON: bytes are base64 text. */
export type Wire<T> = T extends Uint8Array
  ? string
  : T extends readonly (infer Element)[]
    ? Wire<Element>[]
    : T extends object
      ? { [Key in keyof T]: Wire<T[Key]> }
      : T;
