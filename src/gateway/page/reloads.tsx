/** @jsxImportSource hono/jsx */
/** What the last reads of a changed configuration file changed, or would have changed: before and after of each key. */
import type { ConfigReload, ConfigReport } from "../../control/config-api.ts";
import { Badge } from "./badge.tsx";
import type { View } from "./layout.tsx";
import { pageAt, Pages } from "./paging.tsx";
import { instant, orDash } from "./words.ts";

const reloadsPerPage = 5;
export const reloadsPath = "/configuration/reloads";

export function reloadsView({ reloads }: ConfigReport, page: number): View {
  const shown = pageAt(reloads, page, reloadsPerPage);
  return {
    title: "Reloads",
    entry: "/configuration",
    isLive: true,
    body: (
      <>
        <h1>Reloads of the configuration</h1>
        <p>
          <a href="/configuration">Configuration in force</a>
        </p>
        {reloads.length === 0 ? <p>None since this gateway started.</p> : null}
        {shown.items.map((reload) => (
          <section class="card">
            <h2>{instant(reload.atMs)}</h2>
            <Reload reload={reload} />
          </section>
        ))}
        <Pages path={reloadsPath} page={shown.page} isLast={shown.isLast} />
        <p class="quiet">
          Kept in this gateway’s memory, the newest ones; each gateway reads a file of its own. Secrets are never shown:
          a hash, or a sentence, says that one differs.
        </p>
      </>
    ),
  };
}

/** On the view of the configuration: the newest one. */
export function LastReload({ reloads }: Pick<ConfigReport, "reloads">) {
  const [newest] = reloads;
  if (newest === undefined)
    return (
      <p class="quiet">Since this gateway started, no read of the file has changed anything, and none was refused.</p>
    );
  return (
    <section class="card" aria-labelledby="last-reload">
      <h2 id="last-reload">Last reload: {instant(newest.atMs)}</h2>
      <Reload reload={newest} />
      {reloads.length === 1 ? null : (
        <p>
          <a href={reloadsPath}>All {reloads.length} reloads</a>
        </p>
      )}
    </section>
  );
}

function Reload({ reload: { atMs, refused, differences, differencesLeftOut } }: { readonly reload: ConfigReload }) {
  return (
    <>
      <p>
        {refused === null ? (
          <Badge tone="good">applied</Badge>
        ) : (
          <>
            <Badge tone="bad">refused</Badge> {refused}
          </>
        )}
      </p>
      {differences.length === 0 ? null : (
        <div class="scroll" role="region" aria-label={`Differences of ${instant(atMs)}`} tabindex={0}>
          <table class="stack">
            <caption class="hidden">Settings before and after the reload of {instant(atMs)}</caption>
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col">Before</th>
                <th scope="col">{refused === null ? "After" : "In the refused file"}</th>
              </tr>
            </thead>
            <tbody>
              {differences.map(({ key, before, after }) => (
                <tr>
                  <th scope="row">
                    <code>{key}</code>
                  </th>
                  <td data-name="Before">{orDash(before)}</td>
                  <td data-name="After">{orDash(after)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {differencesLeftOut === 0 ? null : <p>And {differencesLeftOut} more.</p>}
    </>
  );
}
