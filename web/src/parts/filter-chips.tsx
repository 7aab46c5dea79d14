// A filter as chips: each condition can be removed, and a form adds one.
import { useRef, useState } from "preact/hooks";
import { type Filter, type FilterField, pairOf } from "../use-filter.ts";
import { Notice } from "./notice.tsx";

export function FilterChips({ filter: { fields, values: filter, ignored, change } }: { filter: Filter }) {
  const [name, setName] = useState(fields[0]!.name);
  const [value, setValue] = useState("");
  const choice = useRef<HTMLSelectElement>(null);
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
    change({ ...filter, ...added });
    setValue("");
  }

  /** The button that was pressed is gone then, so the field that adds a condition has the focus. */
  function remove(key: string): void {
    change(Object.fromEntries(Object.entries(filter).filter(([other]) => other !== key)));
    choice.current?.focus();
  }

  return (
    <div class="filter">
      {ignored.length > 0 && (
        <Notice kind="bad">
          The address has parts that are no filter: {ignored.join(", ")}. The list is not filtered by them.
        </Notice>
      )}
      <ul class="chips" aria-label="Filter">
        {Object.entries(filter).map(([key, text]) => (
          <li key={key}>
            <span>
              {labelOf(fields, key)}:{" "}
              <bdi>
                <strong>{text.replaceAll("_", " ")}</strong>
              </bdi>
            </span>
            <button type="button" aria-label={`Remove ${labelOf(fields, key)}`} onClick={() => remove(key)}>
              ×
            </button>
          </li>
        ))}
      </ul>
      <form onSubmit={add}>
        <select
          ref={choice}
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
  return pairOf(key)?.name ?? fields.find((field) => field.name === key)?.label ?? key;
}
