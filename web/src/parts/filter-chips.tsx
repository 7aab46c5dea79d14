// A filter as chips: each condition can be removed, and a form adds one.
import { useState } from "preact/hooks";

export interface FilterField {
  name: string;
  label: string;
  /** The allowed values. Default: any text. */
  options?: readonly string[];
  /** Whether the value is a time. */
  time?: boolean;
  /** Whether the value is a name and a value of their own, as of a label: `name=value`. */
  pair?: boolean;
}

export interface FilterChipsProps {
  fields: FilterField[];
  filter: Record<string, string>;
  onChange: (filter: Record<string, string>) => void;
}

export function FilterChips({ fields, filter, onChange }: FilterChipsProps) {
  const [name, setName] = useState(fields[0]!.name);
  const [value, setValue] = useState("");
  const field = fields.find((one) => one.name === name) ?? fields[0]!;
  const [, pairName, pairValue] = /^([^=]+)=(.*)$/s.exec(value) ?? [];
  const complete = field.pair ? pairName !== undefined : value.trim() !== "";

  function add(event: Event): void {
    event.preventDefault();
    if (!complete) return;
    const text = value.trim();
    const added = field.pair
      ? { [`${field.name}[${pairName!.trim()}]`]: pairValue!.trim() }
      : { [field.name]: field.time ? new Date(text).toISOString() : text };
    onChange({ ...filter, ...added });
    setValue("");
  }

  return (
    <div class="filter">
      <ul class="chips" aria-label="Filter">
        {Object.entries(filter).map(([key, text]) => (
          <li key={key}>
            <span>
              {labelOf(fields, key)}: <strong>{text.replaceAll("_", " ")}</strong>
            </span>
            <button
              type="button"
              aria-label={`Remove ${labelOf(fields, key)}`}
              onClick={() => onChange(Object.fromEntries(Object.entries(filter).filter(([other]) => other !== key)))}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <select
          aria-label="Filter by"
          value={name}
          onChange={({ currentTarget }) => {
            setName(currentTarget.value);
            setValue("");
          }}
        >
          {fields.map((one) => (
            <option key={one.name} value={one.name}>
              {one.label}
            </option>
          ))}
        </select>
        {field.options ? (
          <select aria-label="Value" value={value} onChange={({ currentTarget }) => setValue(currentTarget.value)}>
            <option value="">…</option>
            {field.options.map((option) => (
              <option key={option} value={option}>
                {option.replaceAll("_", " ")}
              </option>
            ))}
          </select>
        ) : (
          <ValueInput field={field} value={value} onChange={setValue} />
        )}
        <button type="submit" disabled={!complete}>
          Add filter
        </button>
      </form>
    </div>
  );
}

function ValueInput({
  field,
  value,
  onChange,
}: {
  field: FilterField;
  value: string;
  onChange: (value: string) => void;
}) {
  const onInput = ({ currentTarget }: { currentTarget: HTMLInputElement }) => onChange(currentTarget.value);
  if (field.time) return <input aria-label="Value" type="datetime-local" value={value} onInput={onInput} />;
  return <input aria-label="Value" placeholder={field.pair ? "name=value" : ""} value={value} onInput={onInput} />;
}

function labelOf(fields: readonly FilterField[], key: string): string {
  const label = /^metadata\[(.+)\]$/s.exec(key)?.[1];
  return label ?? fields.find((field) => field.name === key)?.label ?? key;
}
