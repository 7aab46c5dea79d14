// Writes limits into the text of a configuration file. Edits only the characters concerned, so comments, order and
// spacing stay as the operator wrote them.
import { isMap, isNode, isPair, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";

/** A limit to write into the file. */
export interface LimitEdit {
  /** Alias of the model, and index of the deployment in its list. */
  model: string;
  deployment: number;
  /** Index in the deployment's `quotas`. If absent, an entry is added. */
  quota?: number;
  unit: "requests" | "tokens";
  per: "minute" | "day";
  limit: number;
}

/** The edited text of a file. */
export interface EditedFile {
  text: string;
  /** Edits that could not be made, because the file uses an alias there or lacks the deployment. */
  skipped: LimitEdit[];
}

/** Text that replaces what is between two offsets. */
interface Splice {
  from: number;
  to: number;
  text: string;
}

/** Writes limits into the text of a configuration file. */
export function editLimits(text: string, edits: readonly LimitEdit[]): EditedFile {
  const document = parseDocument(text);
  const splices: Splice[] = [];
  const skipped: LimitEdit[] = [];
  const additions = new Map<YAMLMap, LimitEdit[]>();
  for (const edit of edits) {
    const deployment = document.getIn(["models", edit.model, "deployments", edit.deployment], true);
    const quota =
      edit.quota === undefined
        ? undefined
        : document.getIn(["models", edit.model, "deployments", edit.deployment, "quotas", edit.quota], true);
    if (isMap(quota)) splices.push(...replacements(quota, edit.limit));
    else if (edit.quota === undefined && isMap(deployment)) {
      additions.set(deployment, [...(additions.get(deployment) ?? []), edit]);
    } else skipped.push(edit);
  }
  for (const [deployment, added] of additions) {
    const splice = insertion(text, deployment, added);
    if (splice) splices.push(splice);
    else skipped.push(...added);
  }
  // Starts at the end, so earlier offsets stay valid.
  splices.sort((a, b) => b.from - a.from);
  return { text: splices.reduce((all, s) => all.slice(0, s.from) + s.text + all.slice(s.to), text), skipped };
}

function replacements(quota: YAMLMap, limit: number): Splice[] {
  const numberAt = (key: string): Splice[] => {
    const node = quota.get(key, true);
    return isScalar(node) && node.range ? [{ from: node.range[0], to: node.range[1], text: String(limit) }] : [];
  };
  // A burst above the new limit would be a mistake, so it is lowered too.
  return [...numberAt("limit"), ...(Number(quota.get("burst")) > limit ? numberAt("burst") : [])];
}

/** Returns the splice that adds entries, or undefined if an alias defines the list of quotas. */
function insertion(text: string, deployment: YAMLMap, edits: LimitEdit[]): Splice | undefined {
  const entries = edits.map(({ unit, per, limit }) => `{ unit: ${unit}, per: ${per}, limit: ${limit} }`);
  const quotas = deployment.get("quotas", true);
  if (quotas === undefined) {
    if (deployment.flow) return beforeEnd(text, deployment, `quotas: [${entries.join(", ")}]`);
    const indent = " ".repeat(columnOf(text, deployment));
    return afterLast(
      text,
      deployment,
      ["quotas:", ...entries.map((entry) => `  - ${entry}`)].map((line) => indent + line),
    );
  }
  if (!isSeq(quotas)) return undefined;
  if (quotas.flow || quotas.items.length === 0) return beforeEnd(text, quotas, entries.join(", "));
  // The column of the first entry's text, after its dash.
  const indent = " ".repeat(Math.max(0, columnOf(text, quotas) - 2));
  return afterLast(
    text,
    quotas,
    entries.map((entry) => `${indent}- ${entry}`),
  );
}

/** Adds to a list or map in brackets. */
function beforeEnd(text: string, { range, items }: YAMLMap | YAMLSeq, added: string): Splice | undefined {
  if (!range) return undefined;
  const bracket = range[1] - 1;
  const from = text.slice(0, bracket).trimEnd().length;
  const isOpen = items.length === 0 || text[from - 1] === ",";
  return { from, to: from, text: `${isOpen ? " " : ", "}${added}` };
}

/** Adds after the last line of a list or map, and after the comment on that line. */
function afterLast(text: string, { items }: YAMLMap | YAMLSeq, lines: string[]): Splice | undefined {
  const last: unknown = items.at(-1);
  const node = isPair(last) ? (isNode(last.value) ? last.value : last.key) : last;
  if (!isNode(node) || !node.range) return undefined;
  const end = text.indexOf("\n", node.range[1]);
  return end < 0
    ? { from: text.length, to: text.length, text: `\n${lines.join("\n")}` }
    : { from: end, to: end, text: `\n${lines.join("\n")}` };
}

function columnOf(text: string, { items }: YAMLMap | YAMLSeq): number {
  const first: unknown = items[0];
  const node = isPair(first) ? first.key : first;
  const at = isNode(node) && node.range ? node.range[0] : 0;
  return at - (text.lastIndexOf("\n", at - 1) + 1);
}
