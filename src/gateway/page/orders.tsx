/** @jsxImportSource hono/jsx */
/**
 * What an operator orders here. Each order has a page of its own, which shows what would happen and asks; the form
 * there calls the admin API as the command of the same name does.
 */
import type { ClusterService } from "../../control/gateway-api.ts";
import type { DrillKind } from "../../core/failover/drill.ts";
import type { DryRunAnswer } from "../../control/failover-api.ts";
import type { View, Visitor } from "./layout.tsx";
import { Candidates, Expected } from "./plan.tsx";
import { inUnits, instant, orDash } from "./words.ts";

export const orderKinds = ["switchover", "pause", "resume", "checkpoint", "drain", "drill"] as const;
export type OrderKind = (typeof orderKinds)[number];
export const isOrderKind = (text: string): text is OrderKind => (orderKinds as readonly string[]).includes(text);

const titles: Readonly<Record<OrderKind, string>> = {
  switchover: "Switch over",
  pause: "Pause automation",
  resume: "Resume automation",
  checkpoint: "Make a checkpoint",
  drain: "Drain a host",
  drill: "Drill a failover",
};

/** Returns the call of the API. `host` empty: none was chosen; `drill`: the kind of a drill. */
export function callOf(
  kind: OrderKind,
  service: string,
  host: string,
  drill: string,
): { readonly path: string; readonly body?: object } {
  const chosen = host === "" ? {} : { host };
  switch (kind) {
    case "switchover":
    case "checkpoint":
      return { path: `/v1/${kind}`, body: { service, ...chosen } };
    case "pause":
    case "resume":
      return { path: `/v1/${kind}`, body: { service } };
    case "drill":
      return { path: "/v1/drills", body: { service, kind: drill } };
    case "drain":
      return { path: `/v1/hosts/${encodeURIComponent(service)}/${encodeURIComponent(host)}/drain` };
  }
}

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
          {isPossible ? <HostChoice {...props} /> : null}
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

function HostChoice({ kind, service, dryRun }: OrderProps) {
  if (kind === "pause" || kind === "resume") return null;
  if (kind === "drill") return <DrillChoice />;
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

/** After an order: what the API answered. */
export function doneView(kind: OrderKind, service: ClusterService, answer: unknown, tookMs: number): View {
  const figures = Object.entries(answer as Record<string, unknown>).filter(
    ([, value]) => typeof value === "string" || typeof value === "number",
  );
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
