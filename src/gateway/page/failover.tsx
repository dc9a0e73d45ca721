/** @jsxImportSource hono/jsx */
/**
 * One failover: its phases beside what was expected and beside an earlier one, what it meant for requests, and what was
 * known when it was decided.
 */
import type { SqlAnswer, SqlValue } from "../../control/gateway-api.ts";
import type { FailoverEntry } from "../../control/failover-api.ts";
import { type ApiCalls, quoted } from "./api-calls.ts";
import { EventTable } from "./event-table.tsx";
import { failoverColumns, storedFailovers } from "./failover-rows.ts";
import type { View } from "./layout.tsx";
import { axisOf, barsOf, inPhaseOrder } from "./timeline.ts";
import { nameOfPhase, Waterfall } from "./waterfall.tsx";
import { inUnits, instant, orDash } from "./words.ts";

/** What is shown of the history before a failover, and after it. */
const beforeMs = 5_000;
const afterMs = 10_000;
const eventsMax = 100;
/** Earlier failovers that one can be put beside. */
const earlierShown = 10;
/** Of candidates, and of gateways. */
const rowsMax = 100;

interface Evidence {
  /** gateway, held, replayed, unknown, failed */
  readonly impacts: SqlAnswer["rows"];
  /** host, rank, why */
  readonly candidates: SqlAnswer["rows"];
  /** gateway, sees, age_ms, cause */
  readonly seen: SqlAnswer["rows"];
  /** phase, ms, source */
  readonly expected: SqlAnswer["rows"];
  readonly events: SqlAnswer;
}

/** `beside`: the id of the one to compare with; default: the last of its kind. Undefined: there is no such failover. */
export async function failoverDetail(api: ApiCalls, id: string, beside: string): Promise<View | undefined> {
  const [entry] = await storedFailovers(
    api,
    await api.sql(`select ${failoverColumns} from failovers where id = ${quoted(id)}`),
  );
  if (entry === undefined) return undefined;
  const earlier = await storedFailovers(
    api,
    await api.sql(
      `select ${failoverColumns} from failovers where service = ${quoted(entry.service)} and decided_at < ${at(entry.decidedAtMs)} order by decided_at desc limit ${earlierShown}`,
    ),
  );
  const other =
    earlier.find((each) => each.id === beside) ?? earlier.find(({ kind }) => kind === entry.kind) ?? earlier[0];
  return {
    title: `Failover of ${entry.service}`,
    entry: "/failovers",
    isLive: true,
    body: <Detail entry={entry} other={other} earlier={earlier} evidence={await evidenceOf(api, entry)} />,
  };
}

/** A time as the views write it. */
const at = (wallTimeMs: number): string => quoted(new Date(wallTimeMs).toISOString());

async function evidenceOf(api: ApiCalls, entry: FailoverEntry): Promise<Evidence> {
  const of = `where failover = ${quoted(entry.id)} limit ${rowsMax}`;
  const { fromMs, toMs } = axisOf([entry]);
  const rows = async (sql: string): Promise<SqlAnswer["rows"]> => (await api.sql(sql)).rows;
  return {
    impacts: await rows(
      `select gateway, held, replayed, unknown, failed from failover_impacts where service = ${quoted(entry.service)} and epoch_from = ${entry.epochFrom} order by gateway limit ${rowsMax}`,
    ),
    candidates: await rows(`select host, rank, why from failover_candidates ${of}`),
    seen: await rows(`select gateway, sees, age_ms, cause from failover_evidence ${of}`),
    expected: await rows(`select phase, ms, source from failover_expectations ${of}`),
    events: await api.sql(
      `select at, gateway, host, level, what, detail from events where service = ${quoted(entry.service)} and at between ${at(entry.decidedAtMs + fromMs - beforeMs)} and ${at(entry.decidedAtMs + toMs + afterMs)} order by at limit ${eventsMax}`,
    ),
  };
}

interface DetailProps {
  readonly entry: FailoverEntry;
  /** The one beside it. */
  readonly other: FailoverEntry | undefined;
  readonly earlier: readonly FailoverEntry[];
  readonly evidence: Evidence;
}

function Detail({ entry, other, earlier, evidence }: DetailProps) {
  return (
    <>
      <h1>
        {entry.service}: {entry.kind}, {orDash(entry.from)} → {orDash(entry.to)}
      </h1>
      <p>
        <a href="/failovers">All failovers</a>
      </p>
      <section class="card" aria-labelledby="phases">
        <h2 id="phases">Phases</h2>
        <Waterfall entry={entry} />
        <Expectation entry={entry} expected={evidence.expected} />
      </section>
      <section class="card" aria-labelledby="requests">
        <h2 id="requests">Requests around it</h2>
        <Impacts impacts={evidence.impacts} />
      </section>
      <section class="card" aria-labelledby="evidence">
        <h2 id="evidence">Evidence</h2>
        <Facts entry={entry} />
        <Seen entry={entry} seen={evidence.seen} />
        <CandidatesThen candidates={evidence.candidates} />
        <h3>What all gateways recorded around it</h3>
        <EventTable events={evidence.events} label="Events around the failover" />
      </section>
      {other === undefined ? null : <Beside entry={entry} other={other} earlier={earlier} />}
    </>
  );
}

/** What was expected at the decision beside what was measured. */
function Expectation({ entry, expected }: { readonly entry: FailoverEntry; readonly expected: SqlAnswer["rows"] }) {
  if (entry.predictedMs === null) return <p class="quiet">Nothing was expected: no time was known.</p>;
  return (
    <>
      <h3>Expected and measured</h3>
      <PhaseComparison
        caption="Expected at the decision, and measured"
        names={["Expected", "Measured"]}
        before={new Map(expected.map(([phase, ms]) => [String(phase as string), numberOf(ms)]))}
        after={durationsOf(entry)}
        gaps={[entry.predictedMs, entry.gapMs]}
      />
    </>
  );
}

const durationsOf = (entry: FailoverEntry): Durations => new Map(barsOf(entry).map(({ phase, ms }) => [phase, ms]));

const numberOf = (value: SqlValue | undefined): number | undefined => (typeof value === "number" ? value : undefined);

/** How long each phase took; undefined: it is not known. */
type Durations = ReadonlyMap<string, number | undefined>;

interface PhaseComparisonProps {
  readonly caption: string;
  readonly names: readonly [before: string, after: string];
  readonly before: Durations;
  readonly after: Durations;
  /** The clients' gap of each. */
  readonly gaps: readonly [before: number | null, after: number | null];
}

/** Two sets of phases in one table, with the difference of each. */
function PhaseComparison({ caption, names, before, after, gaps }: PhaseComparisonProps) {
  const phases = inPhaseOrder([...new Set([...after.keys(), ...before.keys()])]);
  return (
    <table class="narrow">
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          <th scope="col">Phase</th>
          {[...names, "Difference"].map((name) => (
            <th scope="col" class="number">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {phases.map((phase) => (
          <Difference name={nameOfPhase(phase)} before={before.get(phase)} after={after.get(phase)} />
        ))}
        <Difference name={nameOfPhase("gap")} before={gaps[0] ?? undefined} after={gaps[1] ?? undefined} isSum />
      </tbody>
    </table>
  );
}

interface DifferenceProps {
  readonly name: string;
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly isSum?: boolean;
}

function Difference({ name, before, after, isSum = false }: DifferenceProps) {
  const isKnown = before !== undefined && after !== undefined;
  return (
    <tr class={isSum ? "sum" : ""}>
      <th scope="row">{name}</th>
      <td class="number">{before === undefined ? orDash(null) : withSign(before, false)}</td>
      <td class="number">{after === undefined ? orDash(null) : withSign(after, false)}</td>
      <td class="number">{isKnown ? withSign(after - before, true) : orDash(null)}</td>
    </tr>
  );
}

/** Of a prediction's rest also negative. `isDifference`: with a plus too. */
function withSign(ms: number, isDifference: boolean): string {
  const text = inUnits(Math.abs(ms));
  const sign = ms < 0 ? "−" : isDifference && ms > 0 ? "+" : "";
  return text === inUnits(0) ? text : `${sign}${text}`;
}

function Impacts({ impacts }: { readonly impacts: SqlAnswer["rows"] }) {
  if (impacts.length === 0)
    return <p>No request was held, replayed, unknown or failed, as far as any gateway has recorded.</p>;
  const sums = [1, 2, 3, 4].map((column) => impacts.reduce((sum, row) => sum + (numberOf(row[column]) ?? 0), 0));
  return (
    <table class="narrow">
      <caption class="hidden">Requests around the failover, by gateway</caption>
      <thead>
        <tr>
          <th scope="col">Gateway</th>
          {["Held", "Replayed", "Unknown", "Failed"].map((name) => (
            <th scope="col" class="number">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {impacts.map(([gateway, ...counts]) => (
          <tr>
            <th scope="row">{String(gateway as string)}</th>
            {counts.map((count) => (
              <td class="number">{String(count as number)}</td>
            ))}
          </tr>
        ))}
        <tr class="sum">
          <th scope="row">all</th>
          {sums.map((sum) => (
            <td class="number">{sum}</td>
          ))}
        </tr>
      </tbody>
    </table>
  );
}

const Facts = ({ entry }: { readonly entry: FailoverEntry }) => (
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
  </dl>
);

function Seen({ entry, seen }: { readonly entry: FailoverEntry; readonly seen: SqlAnswer["rows"] }) {
  if (seen.length === 0) return null;
  return (
    <>
      <h3>How gateways saw {entry.from ?? "the primary"} then</h3>
      <table class="narrow">
        <caption class="hidden">How each gateway saw the primary at the decision</caption>
        <thead>
          <tr>
            <th scope="col">Gateway</th>
            <th scope="col">Saw it</th>
            <th scope="col">Why, and when</th>
          </tr>
        </thead>
        <tbody>
          {seen.map(([gateway, sees, ageMs, cause]) => (
            <tr>
              <th scope="row">{String(gateway as string)}</th>
              <td>{String(sees as string)}</td>
              <td>
                {gateway === entry.gateway
                  ? orDash(cause as string | null)
                  : sees === "not heard"
                    ? "said nothing of this epoch"
                    : `said so ${inUnits(numberOf(ageMs) ?? 0)} before`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function CandidatesThen({ candidates }: { readonly candidates: SqlAnswer["rows"] }) {
  if (candidates.length === 0) return null;
  return (
    <>
      <h3>Who could have taken over then</h3>
      <table class="stack">
        <caption class="hidden">Candidates at the time of this failover, best first</caption>
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">Rank</th>
            <th scope="col">Why, why not</th>
          </tr>
        </thead>
        <tbody>
          {candidates.map(([host, rank, why]) => (
            <tr>
              <th scope="row">{String(host as string)}</th>
              <td data-name="Rank">{rank === null ? "no candidate" : String(rank as number)}</td>
              <td data-name="Why">{String(why as string)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** Two failovers on one axis, and what each phase took in both. */
function Beside({
  entry,
  other,
  earlier,
}: Required<Omit<DetailProps, "evidence">> & { readonly other: FailoverEntry }) {
  const axis = axisOf([entry, other]);
  const path = `/failovers/${encodeURIComponent(entry.id)}`;
  return (
    <section class="card" aria-labelledby="beside">
      <h2 id="beside">Beside an earlier one</h2>
      <div class="columns">
        <div>
          <h3>
            <a href={`/failovers/${encodeURIComponent(other.id)}`}>{instant(other.decidedAtMs)}</a>: {other.kind},{" "}
            {orDash(other.from)} → {orDash(other.to)}, {other.outcome}
          </h3>
          <Waterfall entry={other} axis={axis} />
        </div>
        <div>
          <h3>This one</h3>
          <Waterfall entry={entry} axis={axis} />
        </div>
      </div>
      <PhaseComparison
        caption="Each phase then and this time"
        names={["Then", "This one"]}
        before={durationsOf(other)}
        after={durationsOf(entry)}
        gaps={[other.gapMs, entry.gapMs]}
      />
      {earlier.length < 2 ? null : (
        <>
          <h3>Beside another</h3>
          <ul>
            {earlier.map(({ id, kind, from, to, decidedAtMs }) => (
              <li>
                <a
                  href={`${path}?${new URLSearchParams({ beside: id }).toString()}`}
                  {...(id === other.id ? { "aria-current": "true" } : {})}
                >
                  {instant(decidedAtMs)}
                </a>{" "}
                {kind}, {orDash(from)} → {orDash(to)}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
