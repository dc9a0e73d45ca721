/** @jsxImportSource hono/jsx */
/**
 * What an operator orders here. Each order has a page of its own, which shows what would happen and asks; the form
 * there calls the admin API as the command of the same name does.
 */
import { formatDuration, parseDuration } from "../../config/units.ts";
import { type ClusterService, pauseForMsMax, reasonLengthMax } from "../../control/gateway-api.ts";
import type { DrillKind } from "../../core/failover/drill.ts";
import type { DryRunAnswer } from "../../control/failover-api.ts";
import type { Refused } from "../../control/refused.ts";
import type { View, Visitor } from "./layout.tsx";
import { Candidates, Expected } from "./plan.tsx";
import { inUnits, instant, orDash, termsText } from "./words.ts";

export const orderKinds = [
  "switchover",
  "pause",
  "resume",
  "maintenance",
  "end-maintenance",
  "checkpoint",
  "drain",
  "drill",
] as const;
export type OrderKind = (typeof orderKinds)[number];
export const isOrderKind = (text: string): text is OrderKind => (orderKinds as readonly string[]).includes(text);

const titles: Readonly<Record<OrderKind, string>> = {
  switchover: "Switch over",
  pause: "Pause automation",
  resume: "Resume automation",
  maintenance: "Begin maintenance",
  "end-maintenance": "End maintenance",
  checkpoint: "Make a checkpoint",
  drain: "Drain a host",
  drill: "Drill a failover",
};

/** What a form has, each empty if nothing was chosen. */
export interface Choice {
  readonly host: string;
  /** The kind of a drill. */
  readonly drill: string;
  readonly reason: string;
  /** A duration with its unit. */
  readonly for: string;
  /** The box that an order which stops answers asks to tick. */
  readonly confirmed: string;
}

export type OrderCall =
  | { readonly kind: "call"; readonly path: string; readonly body?: object }
  /** The form says what no call of the API could. */
  | { readonly kind: "refused"; readonly refusal: Refused };

/** Returns the call of the API that a form orders. */
export function callOf(kind: OrderKind, service: string, choice: Choice): OrderCall {
  const { host, drill } = choice;
  const chosen = host === "" ? {} : { host };
  switch (kind) {
    case "switchover":
    case "checkpoint":
      return { kind: "call", path: `/v1/${kind}`, body: { service, ...chosen } };
    case "pause":
      return withTerms(choice, (terms) => ({ path: "/v1/pause", body: { service, ...terms } }));
    case "resume":
      return { kind: "call", path: "/v1/resume", body: { service } };
    case "maintenance":
      if (choice.confirmed !== "yes") return { kind: "refused", refusal: notConfirmed };
      return withTerms(choice, (terms) => ({ path: "/v1/maintenance", body: { service, on: true, ...terms } }));
    case "end-maintenance":
      return { kind: "call", path: "/v1/maintenance", body: { service, on: false } };
    case "drill":
      return { kind: "call", path: "/v1/drills", body: { service, kind: drill } };
    case "drain":
      return { kind: "call", path: `/v1/hosts/${encodeURIComponent(service)}/${encodeURIComponent(host)}/drain` };
  }
}

const notConfirmed: Refused = {
  error: "the box was not ticked",
  accepted: "the box that says what clients get",
  advice: "go back, read what would happen, and tick it",
};

/** With the order's reason and length, as far as they are given. */
function withTerms(
  { reason, for: length }: Choice,
  call: (terms: { reason?: string; forMs?: number }) => { readonly path: string; readonly body: object },
): OrderCall {
  const why = reason.trim() === "" ? {} : { reason: reason.trim() };
  if (length.trim() === "") return { kind: "call", ...call(why) };
  const parsed = parseDuration(length.trim());
  if (parsed.kind === "ok" && parsed.value >= 1_000 && parsed.value <= pauseForMsMax)
    return { kind: "call", ...call({ ...why, forMs: parsed.value }) };
  const error = `${JSON.stringify(length)} is no time for this`;
  return { kind: "refused", refusal: { error, accepted: lengthAccepted, advice: "go back and write it so" } };
}

const lengthAccepted = `a number with its unit (s, m, h or d), from 1s to ${formatDuration(pauseForMsMax)}; nothing: until it is ended`;

interface OrderProps {
  readonly kind: OrderKind;
  readonly service: ClusterService;
  readonly dryRun: DryRunAnswer;
  readonly visitor: Visitor;
}

export function orderView(props: OrderProps): View {
  const { kind, service, visitor, dryRun } = props;
  const isPossible = (kind !== "switchover" && kind !== "drill") || dryRun.wouldPromote !== null;
  return {
    title: `${titles[kind]}: ${service.name}`,
    entry: "/",
    isLive: false,
    body: (
      <section class="card">
        <h1>
          {titles[kind]}: {service.name}
        </h1>
        <Consequence {...props} />
        <form method="post" action={`/orders/${encodeURIComponent(service.name)}/${kind}`} class="order">
          <input type="hidden" name="proof" value={visitor.proof} />
          {isPossible ? <Choices {...props} /> : null}
          <p class="orders">
            {isPossible ? (
              <button type="submit" class="primary">
                {titles[kind]}
              </button>
            ) : null}
            <a class="button" href="/">
              Do nothing
            </a>
          </p>
        </form>
      </section>
    ),
  };
}

function Choices(props: OrderProps) {
  switch (props.kind) {
    case "resume":
    case "end-maintenance":
      return null;
    case "pause":
      return <TermsChoice />;
    case "maintenance":
      return (
        <>
          <TermsChoice />
          <p>
            <input id="confirmed" name="confirmed" type="checkbox" value="yes" required />{" "}
            <label for="confirmed">Clients of {props.service.name} get the maintenance page instead of answers</label>
          </p>
        </>
      );
    case "drill":
      return <DrillChoice />;
    case "switchover":
    case "checkpoint":
    case "drain":
      return <HostChoice {...props} />;
  }
}

/** Of an order that lasts: why, and for how long. */
const TermsChoice = () => (
  <>
    <p>
      <label for="reason">Reason, for operators</label>{" "}
      <input id="reason" name="reason" maxlength={reasonLengthMax} autocomplete="off" />
    </p>
    <p>
      <label for="for">Ends by itself after</label>{" "}
      <input id="for" name="for" size={8} placeholder="30m" autocomplete="off" aria-describedby="for-accepted" />{" "}
      <span id="for-accepted" class="quiet">
        {lengthAccepted}
      </span>
    </p>
  </>
);

function HostChoice({ kind, service, dryRun }: OrderProps) {
  const others = kind === "switchover" ? dryRun.order : service.hosts.map(({ id }) => id);
  return (
    <p>
      <label for="host">Host</label>{" "}
      <select id="host" name="host" required={kind === "drain"}>
        {kind === "switchover" ? <option value="">the best one</option> : null}
        {kind === "checkpoint" ? <option value="">the primary</option> : null}
        {others.map((id) => (
          <option value={id}>{id}</option>
        ))}
      </select>
    </p>
  );
}

const drillNames: Readonly<Record<DrillKind, string>> = {
  switchover: "the primary steps down in order",
  kill: "the primary’s process is killed",
  hang: "its application hangs",
  partition: "it answers no call and does not reach the vault",
};

/** The mildest one first. */
const DrillChoice = () => (
  <p>
    <label for="drill">What happens</label>{" "}
    <select id="drill" name="drill">
      {Object.entries(drillNames).map(([value, name]) => (
        <option value={value}>{name}</option>
      ))}
    </select>
  </p>
);

function Consequence({ kind, service, dryRun }: OrderProps) {
  const planned = { ...dryRun, expected: dryRun.expected.filter((each) => each.kind === "switchover") };
  switch (kind) {
    case "switchover":
      return (
        <>
          <p>
            {orDash(service.primary)} finishes the requests in progress and steps down; new requests wait until the next
            primary serves. Nothing is lost.
          </p>
          <Candidates dryRun={dryRun} />
          {planned.expected.length === 0 ? null : <h2>How long clients would wait</h2>}
          <Expected dryRun={planned} />
        </>
      );
    case "pause":
      return (
        <p>
          No failover happens by itself from then on, until automation is resumed: if {orDash(service.primary)} is lost
          meanwhile, requests wait and fail. Requests go to the primary as before.
        </p>
      );
    case "resume":
      return (
        <>
          <p>A lost primary is replaced again. If it is lost already, this begins a failover at once.</p>
          <Candidates dryRun={dryRun} />
        </>
      );
    case "maintenance":
      return <MaintenanceConsequence service={service} />;
    case "end-maintenance":
      return (
        <p>
          {service.maintenance === null
            ? `${service.name} is not in maintenance: nothing changes.`
            : `Requests go to ${service.primary ?? "the primary, once there is one,"} again, on every gateway.`}
        </p>
      );
    case "drill":
      return (
        <>
          <p>
            {orDash(service.primary)} is really taken away: clients wait as in a failover. The gateway refuses if
            anything speaks against it. The answer comes when the service is back.
          </p>
          <Candidates dryRun={dryRun} />
          {dryRun.expected.length === 0 ? null : <h2>How long clients would wait</h2>}
          <Expected dryRun={dryRun} />
        </>
      );
    case "checkpoint": {
      const made = service.hosts.find(({ id }) => id === service.primary)?.checkpoint ?? null;
      return (
        <p>
          {made === null
            ? "The primary reports no checkpoint yet."
            : `The newest is at position ${made.position}, made ${instant(made.wallTimeMs)}.`}{" "}
          A new one takes as long as the databases are large, beside the traffic; restores are shorter afterwards.
        </p>
      );
    }
    case "drain":
      return (
        <>
          <p>
            The host is no candidate any more, also after a restart, until{" "}
            <code>stead hosts set HOST --nofailover false</code>. If it is primary, the service moves away from it as in
            a switchover.
          </p>
          <Candidates dryRun={dryRun} />
        </>
      );
  }
}

function MaintenanceConsequence({ service }: { readonly service: ClusterService }) {
  const { name, maintenance, waiting, requestsPerSecond, paused } = service;
  return (
    <>
      {maintenance === null ? null : (
        <p class="reason">
          {name} is in maintenance already{termsText(maintenance)}. This gives it another reason and end.
        </p>
      )}
      <ul>
        <li>
          Every request, on every gateway, is answered with the maintenance page: status 503, <code>Retry-After</code>,
          and that it was not executed. Now {requestsPerSecond.toFixed(0)} a second come to this gateway.
        </li>
        <li>
          Requests in progress finish.{" "}
          {waiting.requests === 0 ? "No request waits now." : `The ${waiting.requests} that wait now get the page.`}
        </li>
        <li>No data changes, and no host stops. Only operators see the reason.</li>
        <li>
          {paused
            ? "Automation is paused: no host is replaced meanwhile."
            : "Hosts are watched and replaced as before: pause automation too before you stop hosts."}
        </li>
      </ul>
    </>
  );
}

/** After an order: what the API answered. */
export function doneView(kind: OrderKind, service: ClusterService, answer: unknown, tookMs: number): View {
  const { maintenance, ...rest } = answer as Record<string, unknown> & { maintenance?: ClusterService["maintenance"] };
  const figures = Object.entries(rest).filter(([, value]) => typeof value === "string" || typeof value === "number");
  if (maintenance !== undefined)
    figures.push(["maintenance", maintenance === null ? "off" : `on${termsText(maintenance)}`]);
  return {
    title: `${titles[kind]}: done`,
    entry: "/",
    isLive: false,
    body: (
      <section class="card" role="status">
        <h1>
          {titles[kind]}: {service.name}
        </h1>
        <p>Done in {inUnits(tookMs)}.</p>
        <dl class="pairs">
          {figures.map(([name, value]) => (
            <>
              <dt>{name}</dt>
              <dd>{String(value)}</dd>
            </>
          ))}
        </dl>
        <p>
          <a class="button" href="/">
            To the overview
          </a>
        </p>
      </section>
    ),
  };
}
