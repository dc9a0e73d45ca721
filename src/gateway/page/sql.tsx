/** @jsxImportSource hono/jsx */
/** The SQL console: one reading statement, its result as a table and as CSV. */
import { type SqlAnswer, sqlRowsMax, type SqlValue } from "../../control/gateway-api.ts";
import type { Refused } from "../../control/refused.ts";
import type { View } from "./layout.tsx";

/** A page of a result ends with the row that reaches one of them; the CSV is whole. */
const rowsPerPage = 100;
const charactersPerPage = 50_000;
/** Of one cell. */
const charactersShown = 300;

/** Returns how many rows of a result are asked for, if earlier pages have `from`. */
export const rowsAsked = (from: number): number => Math.min(sqlRowsMax, from + rowsPerPage + 1);

const examples: readonly (readonly [name: string, sql: string])[] = [
  ["The cluster", "select * from cluster"],
  ["Which gateway sees which host how", "select gateway, service, host, health, cause, role, changed_at from health"],
  [
    "The slowest failovers",
    "select decided_at, service, kind, gap_ms, cause from failovers order by gap_ms desc limit 20",
  ],
  ["Causes of failovers", "select cause, count(*) as count from failovers group by cause order by count desc"],
  ["Who did what", "select at, who, role, method, path, outcome, detail from audit order by at desc limit 100"],
];

export type SqlOutcome =
  | { readonly kind: "none" }
  | { readonly kind: "rows"; readonly answer: SqlAnswer }
  | { readonly kind: "refused"; readonly refusal: Refused };

/** `from`: the number of rows that earlier pages have. */
export function sqlConsole(sql: string, outcome: SqlOutcome, from: number): View {
  return {
    title: "SQL",
    entry: "/sql",
    isLive: false,
    body: (
      <>
        <h1>SQL</h1>
        <form method="get" action="/sql" class="sql">
          <label for="sql">One reading statement</label>
          <textarea id="sql" name="sql" rows={5} spellcheck={false} required>
            {sql}
          </textarea>
          <p class="orders">
            <button type="submit" class="primary">
              Run
            </button>
            <button type="submit" formaction="/sql.csv">
              Download as CSV
            </button>
          </p>
        </form>
        <SqlResult sql={sql} outcome={outcome} from={from} />
        <h2>Examples</h2>
        <ul>
          {examples.map(([name, text]) => (
            <li>
              <a href={sqlPath(text)}>{name}</a> <code>{text}</code>
            </li>
          ))}
        </ul>
      </>
    ),
  };
}

interface SqlResultProps {
  readonly sql: string;
  readonly outcome: SqlOutcome;
  readonly from: number;
}

function SqlResult({ sql, outcome, from }: SqlResultProps) {
  switch (outcome.kind) {
    case "none":
      return null;
    case "refused":
      return (
        <section class="refused" role="alert">
          <p>{outcome.refusal.error}</p>
          <p>{outcome.refusal.advice}</p>
        </section>
      );
    case "rows": {
      const { columns, rows, truncated } = outcome.answer;
      const shown = rowsFrom(rows, from);
      const to = from + shown.length;
      const isLast = to >= rows.length && !truncated;
      return (
        <>
          <p role="status">
            {from === 0 ? `${shown.length} rows` : `Rows ${from + 1} to ${to}`}
            {isLast ? "" : "; there are more"}
          </p>
          <div class="scroll" role="region" aria-label="Result" tabindex={0}>
            <table>
              <caption class="hidden">Result</caption>
              <thead>
                <tr>
                  {columns.map((name) => (
                    <th scope="col">{name}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {shown.map((row) => (
                  <tr>
                    {row.map((value) => (
                      <td {...(typeof value === "number" ? { class: "number" } : {})}>{shortened(cellText(value))}</td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {from === 0 && isLast ? null : (
            <nav class="pages" aria-label="Pages">
              {from === 0 ? null : (
                <a class="button" href={sqlPath(sql)}>
                  First rows
                </a>
              )}
              {isLast || to >= sqlRowsMax ? null : (
                <a class="button" href={sqlPath(sql, to)} rel="next">
                  Further rows
                </a>
              )}
            </nav>
          )}
        </>
      );
    }
  }
}

/** Returns the rows of a page: at least one, however long it is. */
function rowsFrom(rows: SqlAnswer["rows"], from: number): SqlAnswer["rows"] {
  let characters = 0;
  const rest = rows.slice(from, from + rowsPerPage);
  const end = rest.findIndex((row) => {
    characters += row.reduce<number>((sum, value) => sum + shortened(cellText(value)).length, 0);
    return characters > charactersPerPage;
  });
  return end === -1 ? rest : rest.slice(0, Math.max(1, end));
}

const sqlPath = (sql: string, from = 0): string =>
  `/sql?${new URLSearchParams({ sql, ...(from === 0 ? {} : { from: String(from) }) }).toString()}`;

const shortened = (text: string): string =>
  text.length <= charactersShown ? text : `${text.slice(0, charactersShown)}…`;

const cellText = (value: SqlValue): string =>
  value === null
    ? ""
    : typeof value === "object"
      ? `x'${Buffer.from(value.base64, "base64").toString("hex")}'`
      : String(value);

/**
 * RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it: cells hold what
 * applications and clients have written.
 */
export function csvOf({ columns, rows }: SqlAnswer): string {
  return [columns, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function csvCell(value: SqlValue): string {
  const text = cellText(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
