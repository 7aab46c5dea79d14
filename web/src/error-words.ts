// Errors in words for people. The API's own words are for programs: they name parameters, headers and routes.

/** Advice by error code. For other codes, the message says enough. */
export const errorAdvice: Readonly<Record<string, string>> = {
  unauthenticated: "Check the key, or ask for a new one.",
  forbidden: "Sign in with a key that may do this.",
  cross_origin: "Open the dashboard at the address of the service itself.",
  conflict: "Load the page again to see the current state.",
  exceeds_quota: "Shorten the prompt, or allow a shorter answer.",
  unavailable: "Nothing has changed. Try again in a few seconds.",
  fate_unknown: "It may have taken effect. Load the page again before you repeat it.",
  storage_full: "Free space on the disk of the service.",
  internal: "This is a bug in Sluice. The log of the service has the details.",
};

/**
 * Returns a message that begins with a name as people write it: `submitted_after must be a time` becomes
 * `Submitted after must be a time`.
 * @param field that the error names
 */
export function messageForPeople(message: string, field: string | undefined): string {
  if (field === undefined || !/^[a-z][a-z_]*$/.test(field) || !message.startsWith(`${field} `)) return message;
  const name = field.replaceAll("_", " ");
  return name[0]!.toUpperCase() + name.slice(1) + message.slice(field.length);
}
