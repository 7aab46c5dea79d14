// What a person at the dashboard can do about an error. The API's own advice is for programs: it names headers and routes.

/** Advice by error code. For other codes, the message says enough. */
export const errorAdvice: Readonly<Record<string, string>> = {
  unauthenticated: "Check the key, or ask for a new one.",
  forbidden: "Sign in with a key that may do this.",
  cross_origin: "Open the dashboard at the address of the service itself.",
  invalid_request: "Correct it, and try again.",
  conflict: "Load the page again to see the current state.",
  exceeds_quota: "Shorten the prompt, or allow a shorter answer.",
  unavailable: "Nothing has changed. Try again in a few seconds.",
  fate_unknown: "It may have taken effect. Load the page again before you repeat it.",
  storage_full: "Free space on the disk of the service.",
  internal: "This is a bug in Sluice. The log of the service has the details.",
};
