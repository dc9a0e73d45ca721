/** @jsxImportSource hono/jsx */
/** The SQL console: one reading statement, its result as a table and as CSV. */
import type { SqlAnswer, SqlValue } from "../../control/gateway-api.ts";
import type { Refused } from "../../control/refused.ts";
import type { View } from "./layout.tsx";

/** Rows of a table; the CSV has as many as the API gives. */
export const sqlRowsShown = 500;

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

export function sqlConsole(sql: string, outcome: SqlOutcome): View {
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
        <SqlResult outcome={outcome} />
        <h2>Examples</h2>
        <ul>
          {examples.map(([name, text]) => (
            <li>
              <a href={`/sql?${new URLSearchParams({ sql: text }).toString()}`}>{name}</a> <code>{text}</code>
            </li>
          ))}
        </ul>
      </>
    ),
  };
}

function SqlResult({ outcome }: { readonly outcome: SqlOutcome }) {
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
      return (
        <>
          <p role="status">
            {rows.length} rows{truncated ? "; there are more, and the CSV has up to 10,000" : ""}
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
                {rows.map((row) => (
                  <tr>
                    {row.map((value) => (
                      <td class={typeof value === "number" ? "number" : ""}>{cellText(value)}</td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      );
    }
  }
}

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
