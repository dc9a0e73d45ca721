/**
 * The shared tables for the replication: names, columns, keys, and rows to and from SQL.
 *
 * It follows the schema (schema.ts), so that a new column there is replicated without another list.
 */
import type { InStatement, Row } from "@libsql/client";
import { getTableColumns, getTableName } from "drizzle-orm";
import { getTableConfig, type SQLiteTable } from "drizzle-orm/sqlite-core";
import { isBaseUrl, isHostAddress } from "../../core/base-url.ts";
import type { Cell, ReplicatedRow } from "../../core/replication/row.ts";
import {
  audit,
  challenges,
  deliveries,
  drills,
  epochs,
  events,
  failovers,
  gateways,
  health,
  hosts,
  impacts,
  maintenance,
  notifications,
  restoreTests,
  services,
  tokens,
} from "./schema.ts";

const tables = {
  services,
  hosts,
  gateways,
  health,
  epochs,
  failovers,
  impacts,
  events,
  tokens,
  audit,
  drills,
  maintenance,
  notifications,
  deliveries,
  restoreTests,
  challenges,
} as const;
export type TableName = keyof typeof tables;

export interface SharedColumn {
  readonly name: string;
  readonly property: string;
  readonly type: "text" | "integer" | "real" | "boolean";
  readonly isRequired: boolean;
  readonly fallback: Cell;
}

export interface SharedTable {
  readonly name: TableName;
  /** Its name in SQL. */
  readonly sqlName: string;
  /** Without the provenance, in the schema's order: name in SQL and in the program. */
  readonly columns: readonly SharedColumn[];
  /** Names in SQL of the primary key's columns. */
  readonly keys: readonly string[];
}

const provenance = new Set(["origin", "seq", "hlc", "deleted"]);

function describe(name: TableName, table: SQLiteTable): SharedTable {
  const columns = Object.entries(getTableColumns(table)).filter(([, column]) => !provenance.has(column.name));
  const composite = getTableConfig(table).primaryKeys.flatMap((key) => key.columns.map((column) => column.name));
  return {
    name,
    sqlName: getTableName(table),
    columns: columns.map(([property, column]) => ({
      name: column.name,
      property,
      type: column.dataType === "boolean" ? "boolean" : typeOf(column.getSQLType()),
      isRequired: column.notNull,
      fallback: column.default === undefined ? null : cellOf(column.default),
    })),
    keys:
      composite.length > 0
        ? composite
        : columns.filter(([, column]) => column.primary).map(([, column]) => column.name),
  };
}

function typeOf(sqlType: string): SharedColumn["type"] {
  if (sqlType === "text" || sqlType === "integer" || sqlType === "real") return sqlType;
  throw new Error(`a column of type ${sqlType} cannot be shared between gateways`);
}

/** True if the column can hold the cell, in the program as well as in SQL. */
export function isAccepted({ type, isRequired }: SharedColumn, cell: Cell): boolean {
  if (cell === null) return !isRequired;
  switch (type) {
    case "text":
      return typeof cell === "string";
    case "integer":
      return Number.isSafeInteger(cell);
    case "real":
      return Number.isFinite(cell);
    case "boolean":
      return cell === 0 || cell === 1;
  }
}

export const sharedTables: ReadonlyMap<string, SharedTable> = new Map(
  Object.entries(tables).map(([name, table]) => [name, describe(name as TableName, table)]),
);

export function sharedTable(name: string): SharedTable {
  const table = sharedTables.get(name);
  if (table === undefined) throw new Error(`${name} is not a shared table`);
  return table;
}

export const rowKey = (table: SharedTable, values: Readonly<Record<string, Cell>>): string =>
  table.keys.map((name) => String(values[name])).join("\n");

/** Columns with addresses that this program calls, and what they may be. */
const addressColumns: Partial<Record<TableName, { readonly column: string; readonly isAccepted: AddressCheck }>> = {
  hosts: { column: "control_url", isAccepted: isHostAddress },
  gateways: { column: "admin_url", isAccepted: isBaseUrl },
  epochs: { column: "data_url", isAccepted: isBaseUrl },
};
type AddressCheck = (text: string) => boolean;

/**
 * Returns what is wrong with the address in a row that another gateway, or an earlier version of this one, has written;
 * undefined: nothing. A tombstone is accepted with any: no process calls it, and it ends the row that it replaces.
 */
export function faultOfAddress(row: Pick<ReplicatedRow, "table" | "values" | "deleted">): string | undefined {
  const address = addressColumns[row.table as TableName];
  if (address === undefined || row.deleted) return undefined;
  const found = row.values[address.column] ?? null;
  if (found === null || (typeof found === "string" && address.isAccepted(found))) return undefined;
  return `has ${JSON.stringify(found).slice(0, foundLengthMax)} as its ${address.column}`;
}
const foundLengthMax = 100;

/** Converts a row of the program (properties of the schema) to values by column. */
export function toValues(table: SharedTable, row: Readonly<Record<string, unknown>>): Record<string, Cell> {
  return Object.fromEntries(
    table.columns.map(({ name, property, fallback }) => [
      name,
      row[property] === undefined ? fallback : cellOf(row[property]),
    ]),
  );
}

/** Converts back, for rows that the program uses itself. */
export function fromValues<T>(row: ReplicatedRow): T {
  const entries = sharedTable(row.table).columns.map(({ name, property, type }) => {
    const value = row.values[name] ?? null;
    return [property, type === "boolean" && value !== null ? value !== 0 : value] as const;
  });
  return { ...Object.fromEntries(entries), deleted: row.deleted, origin: row.origin, seq: row.seq, hlc: row.hlc } as T;
}

function cellOf(value: unknown): Cell {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  throw new TypeError(`a value of type ${typeof value} has no place in a shared row`);
}

export function upsert(row: ReplicatedRow): InStatement {
  const table = sharedTable(row.table);
  const names = [...table.columns.map(({ name }) => name), "origin", "seq", "hlc", "deleted"];
  const args = [
    ...table.columns.map(({ name }) => row.values[name] ?? null),
    row.origin,
    row.seq,
    row.hlc,
    row.deleted ? 1 : 0,
  ];
  const quoted = names.map((name) => `"${name}"`).join(", ");
  return {
    sql: `INSERT OR REPLACE INTO ${table.sqlName} (${quoted}) VALUES (${names.map(() => "?").join(", ")})`,
    args,
  };
}

export function removal(tableName: string, key: string): InStatement {
  const table = sharedTable(tableName);
  return {
    sql: `DELETE FROM ${table.sqlName} WHERE ${table.keys.map((name) => `"${name}" = ?`).join(" AND ")}`,
    args: key.split("\n"),
  };
}

export function storedRow(table: SharedTable, row: Row): ReplicatedRow {
  const values = Object.fromEntries(table.columns.map(({ name }) => [name, row[name] as Cell]));
  return {
    table: table.name,
    key: rowKey(table, values),
    values,
    origin: row["origin"] as string,
    seq: Number(row["seq"]),
    hlc: row["hlc"] as string,
    deleted: row["deleted"] !== 0,
  };
}
