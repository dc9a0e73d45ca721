/**
 * Converts rows to and from messages (src/control/peer-api.ts), and refuses rows that this version cannot keep
 * completely.
 */
import type { PeerMessage, WireRow } from "../../control/peer-api.ts";
import type { Push } from "../../core/replication/replication.ts";
import { type Cell, faultOfStamp, type ReplicatedRow, type StampFault, stampMs } from "../../core/replication/row.ts";
import { baseUrlAccepted, hostAddressAccepted } from "../../core/base-url.ts";
import {
  faultOfAddress,
  isAccepted,
  rowKey,
  sharedTable,
  sharedTables,
  type SharedColumn,
  type SharedTable,
} from "../state/replication-tables.ts";

export function encodeRows(rows: readonly ReplicatedRow[]): Pick<PeerMessage, "tables" | "rows"> {
  const tables: Record<string, string[]> = {};
  const encoded = rows.map((row): WireRow => {
    const columns = (tables[row.table] ??= sharedTable(row.table).columns.map(({ name }) => name));
    return [
      row.table,
      row.origin,
      row.seq,
      row.hlc,
      row.deleted ? 1 : 0,
      columns.map((name) => row.values[name] ?? null),
    ];
  });
  return { tables, rows: encoded };
}

type Decoded =
  /**
   * `refused` names a row with a false stamp or address, which is left out, and what to do. `isWhole`: nothing is
   * missing that could be true.
   */
  | {
      readonly kind: "ok";
      readonly rows: ReplicatedRow[];
      readonly refused: string | undefined;
      readonly isWhole: boolean;
    }
  | { readonly kind: "unknown"; readonly why: string };

/** Positions in a message's rows of the columns of this version's tables. */
interface Layout {
  readonly table: SharedTable;
  /** Of each cell. */
  readonly columns: readonly SharedColumn[];
  /** For each column of the table the index of its cell; -1: not in the message. */
  readonly at: readonly number[];
}

/**
 * `wallTimeMs`: this gateway's clock, against stamps from a broken one. A row with such a stamp, or with an address
 * that no process can call, is left out, and the others stay: one row must not stop what two gateways tell each other.
 */
export function decodeRows(message: Pick<PeerMessage, "tables" | "rows">, wallTimeMs: number): Decoded {
  const layouts = new Map<string, Layout>();
  for (const [name, names] of Object.entries(message.tables)) {
    const table = sharedTables.get(name);
    if (table === undefined) return { kind: "unknown", why: `its table "${name}" is not known here` };
    const columns: SharedColumn[] = [];
    for (const each of names) {
      const column = table.columns.find((known) => known.name === each);
      if (column === undefined) return { kind: "unknown", why: `its column ${name}.${each} is not known here` };
      columns.push(column);
    }
    layouts.set(name, { table, columns, at: table.columns.map((column) => columns.lastIndexOf(column)) });
  }
  const rows: ReplicatedRow[] = [];
  let refused: string | undefined;
  let isWhole = true;
  for (const [name, origin, seq, hlc, deleted, cells] of message.rows) {
    const layout = layouts.get(name);
    if (layout === undefined || layout.columns.length !== cells.length)
      return { kind: "unknown", why: `a row of "${name}" does not have its columns` };
    const { table, columns, at } = layout;
    const wrong = columns.find((column, index) => !isAcceptedAs(table, column, cells[index] ?? null));
    if (wrong !== undefined)
      return {
        kind: "unknown",
        why: `a row of "${name}" has a value in ${wrong.name} that this version does not know there`,
      };
    const values: Record<string, Cell> = {};
    for (const [index, column] of table.columns.entries()) {
      const from = at[index] ?? -1;
      values[column.name] = from === -1 ? column.fallback : (cells[from] ?? null);
    }
    const key = rowKey(table, values);
    const row: ReplicatedRow = { table: name, key, values, origin, seq, hlc, deleted: deleted === 1 };
    const fault = faultOfStamp(hlc, wallTimeMs);
    const why = fault === undefined ? whyUncallable(row) : falseBecause(fault, hlc);
    if (why === undefined) rows.push(row);
    else refused ??= `${name} ${key.replaceAll("\n", "/")}, written by ${origin}, ${why}`;
    // The clock here may be the wrong one: what it refused must come again.
    if (fault === "ahead") isWhole = false;
  }
  return { kind: "ok", rows, refused, isWhole };
}

const falseBecause = (fault: StampFault, hlc: string): string =>
  fault === "counter"
    ? `is stamped ${hlc}, which no clock makes; ${clockAdvice}`
    : `is stamped ${new Date(stampMs(hlc)).toISOString()}, more than a day ahead of this clock; ${clockAdvice}`;
const clockAdvice = "correct the clock of the gateway that wrote it";

function whyUncallable(row: ReplicatedRow): string | undefined {
  const fault = faultOfAddress(row);
  if (fault === undefined) return undefined;
  return `${fault}, accepted: ${row.table === "hosts" ? hostAddressAccepted : baseUrlAccepted}; add the host again, or correct the address that the gateway advertises`;
}

/** Keys are joined with line ends (state/replication-tables.ts), so a part of one has none. */
function isAcceptedAs(table: SharedTable, column: SharedColumn, cell: Cell): boolean {
  return (
    isAccepted(column, cell) && (typeof cell !== "string" || !cell.includes("\n") || !table.keys.includes(column.name))
  );
}

export type DecodedRows = Extract<Decoded, { kind: "ok" }>;

/** An incomplete push is applied and not counted: its sender pushes it again. */
export const pushOf = (push: NonNullable<PeerMessage["push"]>, { rows, isWhole }: DecodedRows): Push =>
  isWhole ? { ...push, rows } : { ...push, rows, since: Infinity };
