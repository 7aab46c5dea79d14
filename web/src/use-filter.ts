// The filter of a list. It lives in the address, so a link or a reload shows the same list.
import { useLocation } from "preact-iso";
import { query as queryOf } from "./api.ts";
import { cursorName } from "./use-pages.ts";

export interface FilterField {
  name: string;
  label: string;
  /** The allowed values. Default: any text. */
  options?: readonly string[];
  /** Whether the value is a time. */
  time?: boolean;
  /** Whether the value is a name and a value of their own, as of a label: `name=value`. The address has `field[name]`. */
  pair?: boolean;
}

export interface Filter {
  fields: FilterField[];
  /** Values by the parameters of the address, which the API names alike. */
  values: Record<string, string>;
  /** Parameters of the address that no field has. The list ignores them. */
  ignored: string[];
  /** Shows the first page of another filter. */
  change(values: Record<string, string>): void;
}

export function useFilter(fields: FilterField[]): Filter {
  const { path, query, route } = useLocation();
  const given = Object.entries(query).filter(([name, value]) => name !== cursorName && value !== "");
  const isKnown = ([name]: [string, string]) =>
    fields.some((field) => field.name === (field.pair ? pairOf(name)?.field : name));
  return {
    fields,
    values: Object.fromEntries(given.filter(isKnown)),
    ignored: given.filter((entry) => !isKnown(entry)).map(([name]) => name),
    change: (values) => route(path + queryOf(values)),
  };
}

/** Returns the parts of a parameter such as `metadata[run]`. Undefined if it has no such form. */
export function pairOf(parameter: string): { field: string; name: string } | undefined {
  const [, field, name] = /^(\w+)\[(.+)\]$/s.exec(parameter) ?? [];
  return field === undefined || name === undefined ? undefined : { field, name };
}
