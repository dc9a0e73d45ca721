/**
 * What a failover rested on, kept with it: how this gateway and its peers saw the primary, and which hosts could have
 * taken over, with why or why not. Nothing decides on it.
 */
import { dryRun } from "./command.ts";
import type { Failover, ServiceState } from "./state.ts";

export interface CandidateThen {
  readonly host: string;
  /** In the order in which they were to be asked; undefined: not at all. */
  readonly rank: number | undefined;
  readonly why: string;
}

/** How one gateway saw the primary. */
export interface SeenThen {
  readonly gateway: string;
  /** `up`, `down`, `unknown`, or `not heard` of a peer that said nothing of this epoch. */
  readonly sees: string;
  /** Of the peer's word. */
  readonly ageMs: number;
  /** undefined: a peer's, or none. */
  readonly cause: string | undefined;
}

export interface Circumstances {
  readonly candidates: readonly CandidateThen[];
  readonly evidence: readonly SeenThen[];
}

/** Of a failover that begins, or asks its next candidate, in this state. */
export function circumstancesOf(state: ServiceState, failover: Failover, now: number): Circumstances {
  return { candidates: candidatesOf(state, failover, now), evidence: evidenceOf(state, failover, now) };
}

function candidatesOf(state: ServiceState, { tried }: Failover, now: number): readonly CandidateThen[] {
  const { order, but, whyNot } = dryRun(state, now);
  const reservations = new Map(but.map(({ host, why }) => [host, why]));
  const asked = order.filter((host) => !tried.has(host));
  return [
    ...asked.map((host, index) => ({ host, rank: index + 1, why: reservations.get(host) ?? candidateIsFit })),
    ...[...tried].map(([host, why]) => ({ host, rank: undefined, why: `it was asked, and failed: ${why}` })),
    ...whyNot.filter(({ host }) => !tried.has(host)).map(({ host, why }) => ({ host, rank: undefined, why })),
  ];
}

const candidateIsFit = "follows the log and is healthy";

function evidenceOf(state: ServiceState, { from, epochFrom }: Failover, now: number): readonly SeenThen[] {
  const { gateway: self } = state.settings;
  const health = from === undefined ? undefined : state.hosts.get(from)?.health;
  const cause = health?.kind === "down" ? health.cause : undefined;
  const own = { gateway: self, sees: health?.kind ?? "unknown", ageMs: 0, cause };
  const others = state.gateways
    .filter((gateway) => gateway !== self)
    .map((gateway) => {
      const view = state.peers.get(gateway);
      return view === undefined || view.epoch !== epochFrom
        ? { gateway, sees: "not heard", ageMs: 0, cause: undefined }
        : { gateway, sees: view.sees, ageMs: Math.max(0, Math.round(now - view.at)), cause: undefined };
    });
  return [own, ...others];
}
