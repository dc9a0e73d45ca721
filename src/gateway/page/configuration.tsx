/** @jsxImportSource hono/jsx */
/** The configuration in force, what of it was decided at run time, and what the last reload changed. */
import type { ConfigReport } from "../../control/config-api.ts";
import type { View } from "./layout.tsx";
import { inOrder, pageAt, Pages } from "./paging.tsx";
import { LastReload } from "./reloads.tsx";
import { instant } from "./words.ts";

const settingsPerPage = 100;

export function configurationView(report: ConfigReport, page: number): View {
  const { configuration, settings, decidedAtRunTime, reloads } = report;
  const shown = pageAt(Object.entries(settings), page, settingsPerPage);
  const { file, loadedAtMs, refused } = configuration;
  const atRunTime = new Set(decidedAtRunTime);
  return {
    title: "Configuration",
    entry: "/configuration",
    isLive: false,
    body: (
      <>
        <h1>Configuration</h1>
        <p>
          {file === null ? "Not from a file" : <code>{file}</code>}, in force since {instant(loadedAtMs)}.
        </p>
        {refused === null ? null : (
          <section class="refused" role="alert">
            <h2>A newer version of the file was refused</h2>
            <p>
              {instant(refused.atMs)}: {refused.why}
            </p>
          </section>
        )}
        {decidedAtRunTime.length === 0 ? null : (
          <section class="card" aria-labelledby="run-time">
            <h2 id="run-time">Differs from the file by operators’ orders</h2>
            <ul>
              {decidedAtRunTime.map((key) => (
                <li>
                  <code>{key}</code>
                </li>
              ))}
            </ul>
          </section>
        )}
        {file === null ? null : <LastReload reloads={reloads} />}
        <div class="scroll" role="region" aria-label="Settings" tabindex={0}>
          <table class="stack">
            <caption class="hidden">Settings</caption>
            <thead>
              <tr>
                <th scope="col">Key</th>
                <th scope="col">Value</th>
                <th scope="col">From</th>
              </tr>
            </thead>
            <tbody>
              {shown.items.map(([key, value]) => (
                <tr>
                  <th scope="row">
                    <code>{key}</code>
                  </th>
                  <td data-name="Value">{String(value)}</td>
                  <td data-name="From">
                    {[...atRunTime].some((each) => key === each || key.startsWith(`${each}.`))
                      ? "an operator"
                      : "file or default"}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <Pages path="/configuration" page={shown.page} isLast={shown.isLast} names={inOrder} />
      </>
    ),
  };
}
