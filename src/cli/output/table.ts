/**
 * Plain text tables: columns as wide as their widest cell, numbers right-aligned, no terminal control. Where that is
 * wider than the terminal, cells are broken into lines inside their columns, and nothing is left out.
 */
import { printable, wrap } from "./wrap-text.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** The last column has the long texts: it is made narrower first, down to this. */
const lastColumnMin = 24;
/** Others follow, the widest first, down to this. */
const columnMin = 6;
const gap = 2;

/**
 * Formats a title line and the lines of each row, without trailing spaces. No line is longer than `width` unless there
 * are too many columns for it, or numbers alone are longer: they are not broken.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))];
  const widths = fittedWidths(columns, naturalWidths(columns, cells), width);
  const pad = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) =>
        align === "right" ? (row[at] ?? "").padStart(widths[at] ?? 0) : (row[at] ?? "").padEnd(widths[at] ?? 0),
      )
      .join(" ".repeat(gap))
      .trimEnd();
  const lines = (row: readonly string[]): string[] => {
    const parts = columns.map((_, at) => wrap(row[at] ?? "", widths[at] ?? 0, true));
    const height = Math.max(...parts.map(({ length }) => length));
    return Array.from({ length: height }, (_, line) => pad(parts.map((part) => part[line] ?? "")));
  };
  return `${cells.flatMap(lines).join("\n")}\n`;
}

/** Returns true if other columns than the last would have to be broken. */
export function isCrowded(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): boolean {
  const natural = naturalWidths(columns, [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))]);
  return spareIn(narrowLast(columns, natural, width), width) < 0;
}

const naturalWidths = (columns: readonly Column[], cells: readonly (readonly string[])[]): readonly number[] =>
  columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));

/** Negative: too wide by so much. */
const spareIn = (widths: readonly number[], width: number): number =>
  width - widths.reduce((sum, each) => sum + each, 0) - gap * (widths.length - 1);

function narrowLast(columns: readonly Column[], natural: readonly number[], width: number): readonly number[] {
  const last = natural.length - 1;
  const own = natural[last] ?? 0;
  if (columns[last]?.align === "right") return natural;
  const least = Math.min(own, lastColumnMin);
  return natural.with(last, Math.max(least, own + Math.min(0, spareIn(natural, width))));
}

function fittedWidths(columns: readonly Column[], natural: readonly number[], width: number): readonly number[] {
  let widths = narrowLast(columns, natural, width);
  while (spareIn(widths, width) < 0) {
    const widest = Math.max(...widths.filter((_, at) => columns[at]?.align !== "right"));
    if (widest <= columnMin) break;
    const at = widths.findIndex((each, index) => each === widest && columns[index]?.align !== "right");
    widths = widths.with(at, widest - 1);
  }
  return widths;
}
