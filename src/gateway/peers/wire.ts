/** Rows as messages carry them (src/control/peer-api.ts), and back, refusing what this version cannot keep whole. */
import type { PeerMessage, WireRow } from "../../control/peer-api.ts";
import { stampMs, type ReplicatedRow } from "../../core/replication-row.ts";
import { isAccepted, keyOf, sharedTable, sharedTables, type SharedTable } from "../state/replication-tables.ts";

/** Stamps further ahead of this clock come from a clock that is wrong by more than can be repaired by waiting. */
export const stampAheadMsMax = 24 * 3600 * 1_000;

export function encodeRows(rows: readonly ReplicatedRow[]): Pick<PeerMessage, "tables" | "rows"> {
  const tables: Record<string, string[]> = {};
  const encoded = rows.map((row): WireRow => {
    const columns = (tables[row.table] ??= sharedTable(row.table).columns.map(({ name }) => name));
    return [row.table, row.origin, row.seq, row.hlc, row.deleted ? 1 : 0, columns.map((name) => row.values[name] ?? null)];
  });
  return { tables, rows: encoded };
}

export type Decoded = { readonly kind: "ok"; readonly rows: ReplicatedRow[] } | { readonly kind: "unknown"; readonly why: string } | { readonly kind: "clock"; readonly why: string };

/** `wallTimeMs`: this gateway's clock, against stamps from a broken one. */
export function decodeRows(message: Pick<PeerMessage, "tables" | "rows">, wallTimeMs: number): Decoded {
  for (const [name, columns] of Object.entries(message.tables)) {
    const table = sharedTables.get(name);
    const unknown = columns.find((column) => !table?.columns.some((known) => known.name === column));
    if (table === undefined) return { kind: "unknown", why: `its table "${name}" is not known here` };
    if (unknown !== undefined) return { kind: "unknown", why: `its column ${name}.${unknown} is not known here` };
  }
  const rows: ReplicatedRow[] = [];
  for (const [name, origin, seq, hlc, deleted, cells] of message.rows) {
    const columns = message.tables[name];
    if (columns === undefined || columns.length !== cells.length) return { kind: "unknown", why: `a row of "${name}" does not have its columns` };
    if (stampMs(hlc) > wallTimeMs + stampAheadMsMax) return { kind: "clock", why: `it is stamped ${new Date(stampMs(hlc)).toISOString()}, more than a day ahead of this clock` };
    const table = sharedTable(name);
    const given = new Map(columns.map((column, index) => [column, cells[index] ?? null]));
    const wrong = columns.find((column, index) => !isAcceptedAs(table, column, cells[index] ?? null));
    if (wrong !== undefined) return { kind: "unknown", why: `a row of "${name}" has a value in ${wrong} that this version does not know there` };
    const values = Object.fromEntries(table.columns.map((column) => [column.name, given.has(column.name) ? (given.get(column.name) ?? null) : column.fallback]));
    rows.push({ table: name, key: keyOf(table, values), values, origin, seq, hlc, deleted: deleted === 1 });
  }
  return { kind: "ok", rows };
}

/** Keys are joined with line ends (state/replication-tables.ts), so a part of one has none. */
function isAcceptedAs(table: SharedTable, name: string, cell: string | number | null): boolean {
  const column = table.columns.find((each) => each.name === name);
  if (column === undefined || !isAccepted(column, cell)) return false;
  return !table.keys.includes(name) || !String(cell).includes("\n");
}
