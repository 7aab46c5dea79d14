// The part of Bedrock's control plane that clients read: the lifecycle of a model, and the list of inference profiles.

import type { Authenticator } from "./aws-authentication.ts";
import { BedrockError } from "./aws-errors.ts";
import type { Exchange } from "./exchange.ts";
import { displayNameOf, type SimulatedAccount } from "./simulated-account.ts";
import { findModel, knownModels, type SimulatedModel } from "./simulated-models.ts";
import type { Service } from "./simulator-server.ts";

export interface ControlPlaneContext {
  account: SimulatedAccount;
  models: Record<string, SimulatedModel>;
  authenticator: Authenticator;
}

/** Regions to which a profile of the United States sends its calls. */
const destinations = ["us-east-1", "us-east-2", "us-west-2"];

export function controlPlaneService({ account, models, authenticator }: ControlPlaneContext): Service {
  const answer = async (exchange: Exchange, operation: string, content: () => object) => {
    authenticator.authenticate(exchange.request, await exchange.readBody(), "bedrock");
    if (account.denied) {
      throw new BedrockError("AccessDeniedException", `User is not authorized to perform: bedrock:${operation}`);
    }
    exchange.send(200, { "content-type": "application/json" }, JSON.stringify(content()));
  };
  return ({ method, path, query }) => {
    if (method !== "GET") return undefined;
    const id = /^\/foundation-models\/([^/]+)$/.exec(path)?.[1];
    if (id) return (exchange) => answer(exchange, "GetFoundationModel", () => details(decodeURIComponent(id)));
    if (path === "/inference-profiles") {
      const [token, size] = [query.get("nextToken"), query.get("maxResults")];
      return (exchange) => answer(exchange, "ListInferenceProfiles", () => profiles(token, size));
    }
    return undefined;
  };

  function details(modelId: string) {
    const model = findModel(modelId, models);
    if (!model?.bare) {
      throw new BedrockError(
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the given model ID.",
      );
    }
    const lifecycle = account.lifecycles?.[model.id] ?? { status: "ACTIVE" };
    return {
      modelDetails: {
        modelArn: modelArn("us-east-1", model.id),
        modelId: model.id,
        modelName: displayNameOf(model.id),
        providerName: model.id.split(".")[0],
        inputModalities: ["TEXT"],
        outputModalities: ["TEXT"],
        responseStreamingSupported: model.streaming,
        inferenceTypesSupported: [model.profileOnly ? "INFERENCE_PROFILE" : "ON_DEMAND"],
        modelLifecycle: lifecycle,
      },
    };
  }

  function profiles(token: string | null, size: string | null) {
    const all = knownModels(models).filter((id) => findModel(id, models)?.bare);
    const page = pageOf(all, token, size, account.pageSize);
    const summaries = page.items.map((id) => ({
      inferenceProfileName: `US ${displayNameOf(id)}`,
      inferenceProfileArn: `arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.${id}`,
      inferenceProfileId: `us.${id}`,
      models: destinations.map((region) => ({ modelArn: modelArn(region, id) })),
      status: "ACTIVE",
      type: "SYSTEM_DEFINED",
    }));
    return { inferenceProfileSummaries: summaries, ...(page.next && { nextToken: page.next }) };
  }
}

function modelArn(region: string, id: string): string {
  return `arn:aws:bedrock:${region}::foundation-model/${id}`;
}

/** Returns one page of a list, and the token of the next page. */
export function pageOf<T>(
  all: readonly T[],
  token: unknown,
  asked: unknown,
  most = 100,
): { items: readonly T[]; next?: string } {
  const from = /^\d{1,6}$/.test(String(token)) ? Number(token) : 0;
  const size = Math.min(most, Number(asked) > 0 ? Number(asked) : most);
  const next = from + size < all.length ? String(from + size) : undefined;
  return { items: all.slice(from, from + size), ...(next && { next }) };
}
