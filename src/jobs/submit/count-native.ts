// Counts the input tokens of a native request, without a job.
import { SluiceError } from "../../domain/errors.ts";
import type { JobsContext } from "../jobs-context.ts";
import { nativeRequestOf } from "./build-native.ts";
import { countedInput } from "./dry-run.ts";
import { nativeModelOf } from "./native-model.ts";
import type { NativeInput } from "./submit-input.ts";

/**
 * Returns Sluice's own count: that of its tokenizer, times the ratio learned for the model.
 * @throws SluiceError as `nativeModelOf` and `nativeRequestOf`, and `unavailable`
 */
export async function countNative(context: JobsContext, input: Pick<NativeInput, "model" | "native">): Promise<number> {
  const { settings } = context;
  const target = nativeModelOf(settings, input.model);
  const request = nativeRequestOf(settings, input, target);
  const count = await countedInput(context, { model: target.model, fallbackModels: [], request });
  if (count === undefined) throw new SluiceError("unavailable", "The tokens cannot be counted now.");
  return count;
}
