/** @jsxImportSource hono/jsx */
/** What would happen if each primary were lost now: the dry run, which changes nothing. */
import type { ClusterService } from "../../control/gateway-api.ts";
import type { DryRunAnswer, FailoverEntry } from "../../control/failover-api.ts";
import { Badge } from "./badge.tsx";
import type { View } from "./layout.tsx";
import { inOrder, type PageOf, Pages } from "./paging.tsx";
import { totalMsOf } from "./timeline.ts";
import { Bars, Waterfall } from "./waterfall.tsx";
import { inUnits, orDash } from "./words.ts";

export interface Plan {
  readonly service: ClusterService;
  readonly dryRun: DryRunAnswer;
}

/** Each service is a dry run. */
export const plansPerPage = 5;

export function planView({ items: plans, page, isLast }: PageOf<Plan>): View {
  return {
    title: "What if",
    entry: "/plan",
    isLive: true,
    body: (
      <>
        <h1>If the primary were lost now</h1>
        {plans.map(({ service, dryRun }) => (
          <section class="card" aria-labelledby={`plan-${service.name}`}>
            <h2 id={`plan-${service.name}`}>{service.name}</h2>
            <Candidates dryRun={dryRun} />
            <Expected dryRun={dryRun} />
            <LastLike service={service} />
          </section>
        ))}
        <Pages path="/plan" page={page} isLast={isLast} names={inOrder} />
      </>
    ),
  };
}

export function Candidates({ dryRun }: { readonly dryRun: DryRunAnswer }) {
  const { primary, wouldPromote, order, but, whyNot, obstacles } = dryRun;
  const reservations = new Map(but.map(({ host, why }) => [host, why]));
  return (
    <>
      <p>
        {wouldPromote === null ? (
          <Badge tone="bad">no host could take over</Badge>
        ) : (
          <>
            <strong>{wouldPromote}</strong> would take over from {orDash(primary)}
          </>
        )}
      </p>
      {order.length + whyNot.length === 0 ? null : (
        <table class="stack">
          <caption class="hidden">Candidates, best first</caption>
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col">Would be asked</th>
              <th scope="col">Why, why not</th>
            </tr>
          </thead>
          <tbody>
            {order.map((host, index) => (
              <tr>
                <th scope="row">{host}</th>
                <td data-name="Asked">{index === 0 ? "first" : `as number ${index + 1}`}</td>
                <td data-name="Why">{reservations.get(host) ?? "follows the log and is healthy"}</td>
              </tr>
            ))}
            {whyNot.map(({ host, why }) => (
              <tr>
                <th scope="row">{host}</th>
                <td data-name="Asked">no</td>
                <td data-name="Why">{why}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {obstacles.length === 0 ? null : (
        <ul>
          {obstacles.map((each) => (
            <li>{each}</li>
          ))}
        </ul>
      )}
    </>
  );
}

/** What clients would wait, for each way in which the primary can end. */
export function Expected({ dryRun: { expected } }: { readonly dryRun: DryRunAnswer }) {
  const axes = expected.map(({ phases, gapMs }) => ({
    fromMs: Math.min(0, ...phases.map(({ startMs }) => startMs)),
    toMs: Math.max(1, gapMs, ...phases.map(({ startMs, ms }) => startMs + ms)),
  }));
  const axis = {
    fromMs: Math.min(0, ...axes.map(({ fromMs }) => fromMs)),
    toMs: Math.max(1, ...axes.map(({ toMs }) => toMs)),
  };
  return (
    <>
      {expected.map(({ kind, host, gapMs, phases }) => (
        <>
          <h3>
            {kind}: clients would wait {inUnits(gapMs)} until {host} serves
          </h3>
          <Bars
            caption={`Expected phases of a failover after ${kind}`}
            axis={axis}
            bars={phases.map(({ phase, startMs, ms, source, failovers }) => ({
              ...{ phase, startMs, ms },
              source: failovers === 0 ? source : `${source}, ${failovers}×`,
            }))}
          />
        </>
      ))}
    </>
  );
}

/** The last failover that was not ordered is the best guess of the next one. */
function LastLike({ service }: { readonly service: ClusterService }) {
  const last = service.failovers.findLast(isUnplanned);
  if (last === undefined) return <p class="quiet">No failover of this service is recorded yet: no time is known.</p>;
  return (
    <>
      <h3>
        The last {last.kind} took {inUnits(totalMsOf(last))}
        {last.gapMs === null ? "" : `, and clients waited ${inUnits(last.gapMs)}`}
      </h3>
      <Waterfall entry={last} />
    </>
  );
}

const isUnplanned = ({ kind, outcome }: FailoverEntry): boolean =>
  outcome === "done" && ["kill", "hang", "stepped-down", "impaired"].includes(kind);
