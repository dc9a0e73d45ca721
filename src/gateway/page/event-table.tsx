/** @jsxImportSource hono/jsx */
/** Events as a table. */
import type { SqlAnswer } from "../../control/gateway-api.ts";
import { orDash } from "./words.ts";

/** Rows with `at`, `gateway`, `host`, `level`, `what` and `detail`, in this order. */
export function EventTable({ events, label }: { readonly events: SqlAnswer; readonly label: string }) {
  if (events.rows.length === 0) return <p>No event.</p>;
  return (
    <div class="scroll" role="region" aria-label={label} tabindex={0}>
      <table class="stack">
        <caption class="hidden">{label}</caption>
        <thead>
          <tr>
            <th scope="col">Time, UTC</th>
            <th scope="col">Gateway</th>
            <th scope="col">Host</th>
            <th scope="col">Event</th>
            <th scope="col">Detail</th>
          </tr>
        </thead>
        <tbody>
          {events.rows.map(([at, gateway, host, level, what, text]) => (
            <tr class={level === "warning" || level === "error" ? level : ""}>
              <th scope="row">
                <time datetime={orDash(at as string)}>
                  {orDash(at as string)
                    .replace("T", " ")
                    .replace("Z", "")}
                </time>
              </th>
              <td>{orDash(gateway as string)}</td>
              <td>{orDash(host as string | null)}</td>
              <td>
                {level === "info" ? null : <strong>{orDash(level as string)}: </strong>}
                {orDash(what as string)}
              </td>
              <td>{orDash(text as string)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
