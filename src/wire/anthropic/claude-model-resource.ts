// Writes models in Anthropic's form.
import Type, { type Static } from "typebox";
import type { Settings } from "../../config/settings.ts";
import { nativeModelOf } from "../../jobs/submit/native-model.ts";
import { type ClaudeAlias, claudeAliases, claudeModelOf, nameOf } from "./claude-models.ts";

type Models = Pick<Settings, "models" | "defaultModel">;

export const claudeModelSchema = Type.Object({
  type: Type.Literal("model"),
  id: Type.String({ description: "The alias to use as `model`." }),
  display_name: Type.String({ description: "The model's name for people." }),
  created_at: Type.String({ description: "The date in the model's name, or 1970-01-01 if it has none." }),
  max_input_tokens: Type.Integer({ description: "The size of the context in tokens." }),
  max_tokens: Type.Integer({ description: "The largest `max_tokens`." }),
});

const idOrNull = Type.Union([Type.String(), Type.Null()]);

export const claudeModelListSchema = Type.Object({
  data: Type.Array(claudeModelSchema),
  has_more: Type.Boolean({ description: "Whether there are more models in the direction of the list." }),
  first_id: idOrNull,
  last_id: idOrNull,
});

/** The part of the list that a caller asks for. */
export const claudeModelPage = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1000, description: "Maximum number of models. Default: 20." }),
    ),
    after_id: Type.Optional(Type.String({ description: "The id of the model after which the list begins." })),
    before_id: Type.Optional(Type.String({ description: "The id of the model before which the list ends." })),
  },
  { additionalProperties: false },
);

/** Returns a part of the aliases that Claude models serve. An unknown id does not limit the list. */
export function claudeModelList(settings: Models, page: Static<typeof claudeModelPage>) {
  const { limit = 20, after_id: after, before_id: before } = page;
  const all = claudeAliases(settings).map(resourceOf);
  const end = all.findIndex(({ id }) => id === before);
  const part = end >= 0 ? all.slice(0, end) : all.slice(all.findIndex(({ id }) => id === after) + 1);
  const data = end >= 0 ? part.slice(-limit) : part.slice(0, limit);
  return {
    data,
    has_more: data.length < part.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}

/**
 * Returns a model by any name that a message may use.
 * @throws SluiceError as `claudeModelOf`
 */
export function claudeModel(settings: Models, requested: string): Static<typeof claudeModelSchema> {
  const { model: alias } = nativeModelOf(settings, claudeModelOf(settings, requested));
  return { ...resourceOf(claudeAliases(settings).find((one) => one.alias === alias)!), id: requested };
}

function resourceOf({
  alias,
  baseModel,
  contextTokens,
  maxOutputTokens,
}: ClaudeAlias): Static<typeof claudeModelSchema> {
  const { undated, date = "19700101" } = nameOf(baseModel);
  const words = undated.replace(/(\d)-(?=\d)/g, "$1.").split("-");
  return {
    type: "model",
    id: alias,
    display_name: words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join(" "),
    created_at: `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T00:00:00Z`,
    max_input_tokens: contextTokens,
    max_tokens: maxOutputTokens,
  };
}
