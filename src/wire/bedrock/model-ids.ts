// Reads the model id in a path of the Bedrock Runtime API: an alias, an ID of a model or of an inference profile, or an
// ARN. jobs/submit/native-model.ts finds the deployments; this file says where they may be.
import type { Settings } from "../../config/settings.ts";
import { quote, SluiceError } from "../../domain/errors.ts";

/** What a model id asks for. */
export interface RequestedModel {
  /** The id as the caller wrote it. */
  model: string;
  /** Regions that may serve it. Absent: any. */
  regions?: string[];
}

const maxLength = 2048;
/** What the service's model allows in an id, and what an alias may have. */
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
 * Reads a model id. A profile of a geography limits the job to the Regions in it, and an ARN to its own Region, so that
 * no request leaves the place that it names. The Region of a SigV4 signature limits nothing: SDKs always send one.
 * @param settings which Regions have deployments
 * @throws SluiceError `invalid_request` for an id that names no model, `unknown_model` if no Region is left
 */
export function readModelId(settings: Pick<Settings, "models">, model: string): RequestedModel {
  if (Object.hasOwn(settings.models, model)) return { model };
  if (model.length > maxLength || !allowed.test(model)) {
    throw new SluiceError("invalid_request", `The provided model identifier is invalid: ${quote(model)}.`, field);
  }
  const [, , region, , kind, name = ""] = arn.exec(model) ?? [];
  if (kind === undefined) {
    if (model.startsWith("arn:")) throw refusedArn(model, "it is not an ARN of Bedrock");
    return limited(settings, model, model);
  }
  if (!modelKinds.includes(kind)) throw refusedArn(model, `${kind} is not supported`);
  const { regions = [region!] } = limited(settings, model, name);
  return { model, regions: regions.filter((one) => one === region) };
}

const field = { field: "modelId" };

function refusedArn(model: string, why: string): SluiceError {
  return new SluiceError(
    "invalid_request",
    `modelId must be an alias, an ID, or an ARN of a ${modelKinds.join(", ")}; ${why}: ${quote(model)}.`,
    field,
  );
}

function limited(settings: Pick<Settings, "models">, model: string, id: string): RequestedModel {
  const [, prefix = ""] = /^([a-z-]+)\./.exec(id) ?? [];
  const beginnings = Object.hasOwn(geographies, prefix) ? geographies[prefix] : undefined;
  if (!beginnings) return { model };
  const served = new Set(Object.values(settings.models).flatMap(({ deployments }) => deployments.map((d) => d.region)));
  const regions = [...served].filter((region) => beginnings.some((text) => region.startsWith(text)));
  if (regions.length > 0) return { model, regions };
  const message = `No deployment is in the geography ${prefix} of ${quote(model)}; there are deployments in ${[...served].join(", ")}. Use the ID without a prefix to allow any Region.`;
  throw new SluiceError("unknown_model", message, field);
}
