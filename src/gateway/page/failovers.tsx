/** @jsxImportSource hono/jsx */
/** Failovers: the list, newest first, and one of them with its evidence. */
import type { SqlAnswer, SqlValue } from "../../control/gateway-api.ts";
import type { FailoverEntry } from "../../control/failover-api.ts";
import { type ApiCalls, quoted } from "./api-calls.ts";
import type { View } from "./layout.tsx";
import { Pages } from "./paging.tsx";
import { type Axis, axisOf, type Bar, totalMsOf } from "./timeline.ts";
import { Strip, Waterfall } from "./waterfall.tsx";
import { inUnits, instant, orDash } from "./words.ts";

export const failoversPerPage = 25;
/** What is shown of the history before a failover, and after it. */
const beforeMs = 5_000;
const afterMs = 10_000;
const eventsMax = 100;
/** Earlier failovers of the same kind beside one. */
const earlierShown = 3;

const columns =
  "id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts, decided_at, detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms, cause, gap_start_ms, predicted_ms";

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
    `select ${columns} from failovers order by decided_at desc, id limit ${failoversPerPage + 1} offset ${failoversPerPage * (page - 1)}`,
  );
  const entries = await stored(api, answer);
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

/** Undefined: there is no such failover. */
export async function failoverDetail(api: ApiCalls, id: string): Promise<View | undefined> {
  const [entry] = await stored(api, await api.sql(`select ${columns} from failovers where id = ${quoted(id)}`));
  if (entry === undefined) return undefined;
  const before = await stored(
    api,
    await api.sql(
      `select ${columns} from failovers where service = ${quoted(entry.service)} and kind = ${quoted(entry.kind)} and decided_at < ${at(entry.decidedAtMs)} order by decided_at desc limit ${earlierShown}`,
    ),
  );
  const { fromMs, toMs } = axisOf([entry]);
  const events = await api.sql(
    `select at, gateway, host, level, what, detail from events where service = ${quoted(entry.service)} and at between ${at(entry.decidedAtMs + fromMs - beforeMs)} and ${at(entry.decidedAtMs + toMs + afterMs)} order by at limit ${eventsMax}`,
  );
  return {
    title: `Failover of ${entry.service}`,
    entry: "/failovers",
    isLive: true,
    body: detail(entry, before, events),
  };
}

/** A time as the views write it. */
const at = (wallTimeMs: number): string => quoted(new Date(wallTimeMs).toISOString());

const detail = (entry: FailoverEntry, before: readonly FailoverEntry[], events: SqlAnswer) => (
  <>
    <h1>
      {entry.service}: {entry.kind}, {orDash(entry.from)} → {orDash(entry.to)}
    </h1>
    <p>
      <a href="/failovers">All failovers</a>
    </p>
    <section class="card" aria-labelledby="phases">
      <h2 id="phases">Phases</h2>
      <Waterfall entry={entry} axis={axisOf([entry, ...before])} />
    </section>
    <section class="card" aria-labelledby="evidence">
      <h2 id="evidence">Evidence</h2>
      <dl class="pairs">
        <dt>Decided</dt>
        <dd>
          {instant(entry.decidedAtMs)} by gateway {entry.gateway}
        </dd>
        <dt>Outcome</dt>
        <dd>{entry.outcome}</dd>
        <dt>Cause</dt>
        <dd>{orDash(entry.cause)}</dd>
        <dt>Epoch</dt>
        <dd>
          {entry.epochFrom} → {orDash(entry.epochTo)}
        </dd>
        <dt>Candidates asked</dt>
        <dd>{entry.attempts}</dd>
        <dt>Clients’ gap</dt>
        <dd>{entry.gapMs === null ? "no traffic, or not over yet" : inUnits(entry.gapMs)}</dd>
        <dt>Expected at the decision</dt>
        <dd>{entry.predictedMs === null ? "unknown" : inUnits(entry.predictedMs)}</dd>
      </dl>
      <h3>What all gateways recorded around it</h3>
      <EventTable events={events} label="Events around the failover" />
    </section>
    {before.length === 0 ? null : (
      <section class="card" aria-labelledby="earlier">
        <h2 id="earlier">Earlier ones of the same kind, on the same axis</h2>
        {before.map((each) => (
          <>
            <h3>
              <a href={`/failovers/${encodeURIComponent(each.id)}`}>{instant(each.decidedAtMs)}</a>, {orDash(each.from)}{" "}
              → {orDash(each.to)}, {each.outcome}
            </h3>
            <Waterfall entry={each} axis={axisOf([entry, ...before])} />
          </>
        ))}
      </section>
    )}
  </>
);

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

/** Returns the rows of the view `failovers` that an answer with `columns` has, each with its phases. */
async function stored(api: ApiCalls, answer: SqlAnswer): Promise<readonly FailoverEntry[]> {
  const names = answer.columns;
  const rows = answer.rows.map((row) => (name: string) => row[names.indexOf(name)] ?? null);
  if (rows.length === 0) return [];
  const ids = rows.map((value) => quoted(String(value("id") as string)));
  const spans = await api.sql(
    `select failover, phase, start_ms, ms from failover_phases where phase <> 'gap' and failover in (${ids.join(", ")})`,
  );
  return rows.map((value) => entryOf(value, spans.rows.filter(([id]) => id === value("id")).map(barOf)));
}

const barOf = ([, phase, startMs, ms]: SqlAnswer["rows"][number]): Bar => ({
  phase: phase as string,
  startMs: startMs as number,
  ms: ms as number,
});

function entryOf(value: (name: string) => SqlValue, timeline: Bar[]): FailoverEntry {
  const text = (name: string): string => value(name) as string;
  const optional = (name: string): string | null => value(name) as string | null;
  const number = (name: string): number | null => value(name) as number | null;
  return {
    ...{ id: text("id"), service: text("service"), gateway: text("gateway"), kind: text("kind") },
    ...{ outcome: text("outcome"), from: optional("from_host"), to: optional("to_host"), cause: optional("cause") },
    ...{ epochFrom: number("epoch_from") ?? 0, epochTo: number("epoch_to"), attempts: number("attempts") ?? 0 },
    decidedAtMs: Date.parse(text("decided_at")),
    phases: {
      ...{ detect: number("detect_ms"), agree: number("agree_ms"), demote: number("demote_ms") },
      ...{ claim: number("claim_ms"), lease: number("lease_ms"), catchUp: number("catchup_ms") },
      ...{ start: number("start_ms"), route: number("route_ms"), wait: number("wait_ms"), retry: number("retry_ms") },
    },
    ...{ gapMs: number("gap_ms"), gapStartMs: number("gap_start_ms"), predictedMs: number("predicted_ms"), timeline },
  };
}
