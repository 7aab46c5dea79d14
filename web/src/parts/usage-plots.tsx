// Tokens and dollars by day, stacked by a group.
import { dollars } from "../format.ts";
import { type DayColumn, type DayRow, dayColumns, daysOf } from "../usage-days.ts";
import { Plot, type Series } from "./plot.tsx";

const colors: readonly Series["color"][] = ["--bar", "--warn", "--good", "--quiet"];

export interface UsagePlotsProps<Row extends DayRow> {
  from: string;
  to: string;
  rows: readonly Row[];
  /** Returns the group of a row. Undefined: input and output tokens, and all dollars. */
  groupOf: ((row: Row) => string) | undefined;
}

export function UsagePlots<Row extends DayRow>({ from, to, rows, groupOf }: UsagePlotsProps<Row>) {
  const days = daysOf(from, to);
  const column = (label: string, amountOf: (row: Row) => number) => dayColumns(days, rows, () => label, amountOf);
  const tokens = groupOf
    ? dayColumns(days, rows, groupOf, (row) => row.input_tokens + row.output_tokens)
    : [...column("in", (row) => row.input_tokens), ...column("out", (row) => row.output_tokens)];
  const cost = groupOf ? dayColumns(days, rows, groupOf, costOf) : column("dollars", costOf);
  const names = tokens.map(({ label }) => label);
  return (
    <div class="plots">
      <Plot name="Tokens by day" title="Tokens by day" times={days} series={seriesOf(tokens, names)} days whole />
      <Plot
        name="Dollars by day"
        title="Dollars by day"
        times={days}
        series={seriesOf(cost, groupOf ? names : ["dollars"])}
        days
        format={dollars}
      />
    </div>
  );
}

function costOf(row: DayRow): number {
  return row.cost_usd;
}

/** @param names groups in the order of the colours, so that a group has the same colour in both plots */
function seriesOf(columns: readonly DayColumn[], names: readonly string[]): Series[] {
  return columns.map(({ label, values }) => ({ label, values, color: colors[names.indexOf(label)] ?? "--bar-soft" }));
}
