/** @jsxImportSource hono/jsx */
/** All failovers, newest first. */
import type { FailoverEntry } from "../../control/failover-api.ts";
import type { ApiCalls } from "./api-calls.ts";
import { failoverColumns, storedFailovers } from "./failover-rows.ts";
import type { View } from "./layout.tsx";
import { Pages } from "./paging.tsx";
import { type Axis, axisOf, totalMsOf } from "./timeline.ts";
import { Strip } from "./waterfall.tsx";
import { inUnits, instant, orDash } from "./words.ts";

export const failoversPerPage = 25;
/** The first page is what the status has, and so at once; older ones are in the database. */
export async function failoverList(api: ApiCalls, page: number): Promise<View> {
  const { entries, isLast } = page === 1 ? await newest(api) : await older(api, page);
  const axis = axisOf(entries.map((entry) => ({ ...entry, gapMs: null })));
  return {
    title: "Failovers",
    entry: "/failovers",
    isLive: true,
    body: (
      <>
        <h1>Failovers</h1>
        {entries.length === 0 ? <p>None so far.</p> : <List entries={entries} axis={axis} />}
        <Pages path="/failovers" page={page} isLast={isLast} />
      </>
    ),
  };
}

interface Page {
  readonly entries: readonly FailoverEntry[];
  readonly isLast: boolean;
}

async function newest(api: ApiCalls): Promise<Page> {
  const { services } = await api.status();
  const all = services.flatMap(({ failovers }) => failovers).toSorted((a, b) => b.decidedAtMs - a.decidedAtMs);
  return { entries: all.slice(0, failoversPerPage), isLast: all.length <= failoversPerPage };
}

async function older(api: ApiCalls, page: number): Promise<Page> {
  const answer = await api.sql(
    `select ${failoverColumns} from failovers order by decided_at desc, id limit ${failoversPerPage + 1} offset ${failoversPerPage * (page - 1)}`,
  );
  const entries = await storedFailovers(api, answer);
  return { entries: entries.slice(0, failoversPerPage), isLast: entries.length <= failoversPerPage };
}

function List({ entries, axis }: { readonly entries: readonly FailoverEntry[]; readonly axis: Axis }) {
  return (
    <div class="scroll" role="region" aria-label="Failovers" tabindex={0}>
      <table class="stack">
        <caption class="hidden">
          Failovers, newest first, on one time axis of {inUnits(axis.toMs - axis.fromMs)}
        </caption>
        <thead>
          <tr>
            <th scope="col">Decided</th>
            <th scope="col">Service</th>
            <th scope="col">Kind</th>
            <th scope="col">From → to</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="number">
              Total
            </th>
            <th scope="col" class="number">
              Gap
            </th>
            <th scope="col" class="wide">
              Phases, of {inUnits(axis.toMs - axis.fromMs)}
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr>
              <th scope="row">
                <a href={`/failovers/${encodeURIComponent(entry.id)}`}>{instant(entry.decidedAtMs)}</a>
              </th>
              <td data-name="Service">{entry.service}</td>
              <td data-name="Kind">{entry.kind}</td>
              <td>
                {orDash(entry.from)} → {orDash(entry.to)}
              </td>
              <td data-name="Outcome">{entry.outcome}</td>
              <td data-name="Total" class="number">
                {inUnits(totalMsOf(entry))}
              </td>
              <td data-name="Gap" class="number">
                {entry.gapMs === null ? orDash(null) : inUnits(entry.gapMs)}
              </td>
              <td class="wide">
                <Strip entry={entry} axis={axis} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
