// Reads where a model may run from its ID: an ID of a model or of an inference profile, or an ARN.
import { quote, SluiceError } from "../../domain/errors.ts";

const maxLength = 2048;
/** What Bedrock allows in an ID. */
const allowed = /^[\w./:@-]+$/;
const arn = /^arn:(aws[a-z-]*):bedrock:([a-z0-9-]{1,20}):(\d{12})?:([a-z-]+)\/(.+)$/;
/** Kinds of ARNs that name a model of the catalogue, or a profile of one. */
const modelKinds = ["foundation-model", "inference-profile", "application-inference-profile"];

/** Beginnings of the Regions in which a profile with the prefix runs. A global profile runs anywhere. */
const geographies: Readonly<Record<string, readonly string[]>> = {
  us: ["us-east-", "us-west-"],
  "us-gov": ["us-gov-"],
  eu: ["eu-"],
  apac: ["ap-"],
  jp: ["ap-northeast-"],
  au: ["ap-southeast-"],
  ca: ["ca-"],
};

/**
 * Returns whether a Region may serve a model ID. A profile of a geography allows the Regions in it, and an ARN its own
 * Region, so that no request leaves the place that it names. Returns undefined if the ID allows any Region.
 * @throws SluiceError `invalid_request` for an ID that names no model
 */
export function placesOf(id: string): ((region: string) => boolean) | undefined {
  if (id.length > maxLength || !allowed.test(id)) {
    throw new SluiceError("invalid_request", `The provided model identifier is invalid: ${quote(id)}.`, field);
  }
  const [, , own, , kind, name = ""] = arn.exec(id) ?? [];
  if (kind === undefined) {
    if (id.startsWith("arn:")) throw refusedArn(id, "it is not an ARN of Bedrock");
    return geographyOf(id);
  }
  if (!modelKinds.includes(kind)) throw refusedArn(id, `${kind} is not supported`);
  const isInside = geographyOf(name);
  return (region) => region === own && (isInside?.(region) ?? true);
}

const field = { field: "model" };

function refusedArn(id: string, why: string): SluiceError {
  const message = `model must be an alias, an ID, or an ARN of a ${modelKinds.join(", ")}; ${why}: ${quote(id)}.`;
  return new SluiceError("invalid_request", message, field);
}

function geographyOf(id: string): ((region: string) => boolean) | undefined {
  const [, prefix = ""] = /^([a-z-]+)\./.exec(id) ?? [];
  const beginnings = Object.hasOwn(geographies, prefix) ? geographies[prefix]! : undefined;
  return beginnings && ((region) => beginnings.some((text) => region.startsWith(text)));
}
