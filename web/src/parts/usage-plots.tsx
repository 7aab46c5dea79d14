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
  return (
    <div class="plots">
      <Plot name="Tokens by day" title="Tokens by day" times={days} series={seriesOf(tokens)} days whole />
      <Plot name="Dollars by day" title="Dollars by day" times={days} series={seriesOf(cost)} days format={dollars} />
    </div>
  );
}

function costOf(row: DayRow): number {
  return row.cost_usd;
}

function seriesOf(columns: readonly DayColumn[]): Series[] {
  return columns.map(({ label, values }, i) => ({ label, values, color: colors[i]! }));
}
