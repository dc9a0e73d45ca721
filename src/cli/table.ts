/** Plain text tables: columns as wide as their widest cell, numbers to the right, nothing that a terminal must understand. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** One line per row with a title line above; no spaces at the ends of lines. Control characters become `?`. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) => (align === "right" ? (row[at] ?? "").padStart(widths[at] ?? 0) : (row[at] ?? "").padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return `${cells.map(line).join("\n")}\n`;
}

// A cell can come from a host or a database, and must not be able to move the cursor of a terminal.
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
