/** Plain text tables: columns as wide as their widest cell, numbers right-aligned, no terminal control. */
import { printable, wrap } from "./wrap-text.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** If fewer characters than this are left, the last column is not broken into lines. */
const lastColumnMin = 24;

/**
 * Formats a title line and one line per row, without trailing spaces. With a `width`, the last column is broken between
 * words to keep lines within it where possible.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const last = columns.length - 1;
  const room = width - widths.slice(0, last).reduce((sum, each) => sum + each + 2, 0);
  const pad = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) =>
        align === "right" ? (row[at] ?? "").padStart(widths[at] ?? 0) : (row[at] ?? "").padEnd(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd();
  const lines = (row: readonly string[]): string[] => {
    if (room < lastColumnMin || columns[last]?.align === "right") return [pad(row)];
    const [first = "", ...rest] = wrap(row[last] ?? "", room);
    return [[...row.slice(0, last), first], ...rest.map((text) => [...row.slice(0, last).map(() => ""), text])].map(
      pad,
    );
  };
  return `${cells.flatMap(lines).join("\n")}\n`;
}
