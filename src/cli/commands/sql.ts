/** `stead sql 'select …'`: queries a gateway's database, read-only. */
import { escapeControls } from "../../runtime/printable.ts";
import { buildCommand } from "@stricli/core";
import { sqlRowsMax, type SqlAnswer, type SqlValue } from "../../control/gateway-api.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";
import { lineWidth, paragraph, printable, type Screen, screenOf } from "../output/wrap-text.ts";
import { formatTable, isCrowded } from "../output/table.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

interface SqlFlags extends ConnectionFlags {
  readonly json: boolean;
  readonly csv: boolean;
  readonly rows: number;
}

export const sqlCommand = buildCommand<SqlFlags, [statement: string], CliContext>({
  docs: {
    brief: "Query a gateway's database: hosts, health, epochs, failovers, events",
    fullDescription: [
      "One SELECT, WITH, VALUES or EXPLAIN. The views are stable: cluster, services, hosts, health, epochs, events, failovers,",
      "failover_phases, failover_candidates, failover_evidence, failover_expectations, failover_impacts, drills, drill_phases, restore_tests,",
      "audit, tokens, notifications, deliveries, gateways, maintenance; `select name, sql from sqlite_schema where type = 'view'` shows their",
      "columns. Times are UTC text, durations milliseconds. Rows wider than the terminal are shown with one line per column; --csv and --json are stable.",
      "Exits with 0 if it was answered, with 5 if it was refused, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead sql 'select * from cluster'",
      "  stead sql 'select kind, from_host, to_host, detect_ms, claim_ms, lease_ms, start_ms, gap_ms from failovers order by decided_at'",
      "  stead sql --csv 'select * from events'",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...jsonFlag,
      csv: { kind: "boolean", default: false, withNegated: false, brief: "Print RFC 4180 CSV with a header line" },
      rows: {
        kind: "parsed",
        parse: rowCount,
        default: "1000",
        placeholder: "number",
        brief: `Rows at most (up to ${sqlRowsMax}); when there are more, standard error says so`,
      },
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "One statement that only reads", placeholder: "statement", parse: String }],
    },
  },
  async func(flags, sql) {
    if (flags.csv && flags.json)
      throw new OperatorError("usage", { found: "--csv and --json", accepted: "one of them", advice: "choose" });
    const { client, url } = connectToGateway(this, flags);
    const answer = requireAnswer(await client.sql({ sql, rowsMax: flags.rows }, this.signal), url);
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify(answer)}\n`
        : flags.csv
          ? formatCsv(answer)
          : formatRows(answer, this.process.stdout.columns),
    );
    if (answer.truncated && !flags.json)
      this.process.stderr.write(`stead: only the first ${answer.rows.length} rows are shown (--rows)\n`);
  },
});

/** Formats a table, or one block of lines per row if the table would be wider than the terminal. */
export function formatRows(answer: SqlAnswer, terminal?: number): string {
  const width = terminal ?? lineWidth;
  const cells = answer.rows.map((row) => row.map((value) => (value === null ? "-" : text(value))));
  const numeric = answer.columns.map(
    (_, at) => answer.rows.length > 0 && answer.rows.every((row) => row[at] === null || typeof row[at] === "number"),
  );
  const columns = answer.columns.map((title, at) => ({
    title,
    align: numeric[at] === true ? ("right" as const) : ("left" as const),
  }));
  if (cells.length > 0 && isCrowded(columns, cells, width))
    return formatBlocks(answer.columns, cells, screenOf(terminal));
  return formatTable(columns, cells, width);
}

function formatBlocks(columns: readonly string[], rows: readonly (readonly string[])[], screen: Screen): string {
  const titleWidth = Math.max(...columns.map((title) => title.length));
  const block = (row: readonly string[], at: number): string =>
    `row ${at + 1}\n${columns.map((title, column) => valueLines(`  ${title.padEnd(titleWidth)}  `, row[column] ?? "", screen)).join("")}`;
  return rows.map(block).join("");
}

const valueLines = (lead: string, value: string, screen: Screen): string =>
  screen.isTerminal ? paragraph(lead, value, { ...screen, text: screen.table }) : `${lead}${printable(value)}\n`;

export function formatCsv(answer: SqlAnswer): string {
  // Lines and tabs are data of a field in quotes; whatever else could control a terminal is escaped.
  const field = (raw: string): string => {
    const value = escapeControls(raw, "\r\n\t");
    return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  const lines = [answer.columns, ...answer.rows.map((row) => row.map((value) => (value === null ? "" : text(value))))];
  return lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

function text(value: Exclude<SqlValue, null>): string {
  if (typeof value === "object") return `base64:${value.base64}`;
  return typeof value === "number" && !Number.isInteger(value)
    ? String(Math.round(value * 1000) / 1000)
    : String(value);
}

function rowCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > sqlRowsMax)
    throw new Error(`"${text}" is not a number of rows: 1 to ${sqlRowsMax} is accepted`);
  return value;
}
