/**
 * Applications that misbehave on healthy machines: hung, crashing, poisoned, slow to start. No operator intervenes: the
 * service must recover by itself, and a host that lives must not be lost.
 */
import { count, said, type Scenario } from "./scenarios.ts";
import type { Fault } from "./faults.ts";
import type { RunResult } from "./run.ts";

const claims = (result: RunResult): number => count(result, "claims epoch");
const oneEpoch = (result: RunResult): string | undefined =>
  claims(result) > 1 ? `${claims(result)} epochs: a host was lost over its application` : undefined;
const servedAfter =
  (ms: number) =>
  (result: RunResult): string | undefined =>
    result.operations.some(
      ({ calledAt, outcome, poison }) => poison === undefined && calledAt > ms && outcome.kind === "ok",
    )
      ? undefined
      : `nothing was served after ${ms} ms`;

const endedAtMost =
  (max: number) =>
  (result: RunResult): string | undefined => {
    const endings = count(result, "its application has ended");
    return endings > max ? `the application ended ${endings} times` : undefined;
  };

function othersNotExecuted({ operations }: RunResult): string | undefined {
  const refused = operations.filter(
    ({ poison, outcome }) => poison === undefined && outcome.kind === "not-executed",
  ).length;
  return refused > 0 ? `${refused} requests of other clients were refused` : undefined;
}

/** Two losses are answered at once, those after them wait 2, 4, 8 s; and there was an epoch before. */
const epochsWhileBrakedMax = 6;
const brokenAtMs = 4_000;
const brokenMs = 15_000;
const claimsUntil = ({ trace }: RunResult, ms: number): number =>
  trace.filter(({ what, atMs }) => atMs < ms && what.includes("claims epoch")).length;

function brakedWrongly(result: RunResult): string | undefined {
  const epochs = claimsUntil(result, brokenAtMs + brokenMs);
  return epochs > epochsWhileBrakedMax ? `${epochs} epochs in ${brokenMs} ms for one cause` : undefined;
}

export const applicationScenarios: readonly Scenario[] = [
  {
    name: "an application that hangs is started again where it is",
    faults: [{ kind: "application-freeze", who: "primary", atMs: 4_000, forMs: 60_000 }],
    always: (result) => oneEpoch(result) ?? servedAfter(7_000)(result),
    seen: (result) => said(result, "its application is stuck"),
  },
  {
    name: "an application that hangs again and again is given up on one host after the other, and comes back",
    faults: [4_000, 6_500, 9_000, 11_500, 14_000].map(
      (atMs): Fault => ({ kind: "application-freeze", who: "primary", atMs, forMs: 60_000 }),
    ),
    options: { faultyMs: 20_000 },
    always: servedAfter(21_000),
    seen: (result) => claims(result) > 1,
  },
  {
    name: "an application that computes for three times its patience is left alone",
    faults: [],
    options: { longShare: 0.02, longMs: 3_000 },
    always: (result) =>
      oneEpoch(result) ??
      (said(result, "its application is stuck") ? "a busy application was called stuck" : undefined),
    seen: ({ operations }) => operations.length > 0,
  },
  {
    name: "everything on the machine stops for three seconds, and the application is not blamed for it",
    faults: [0, 1, 2].map((who): Fault => ({ kind: "freeze", who, withApplication: true, atMs: 4_000, forMs: 3_000 })),
    always: (result) =>
      said(result, "its application is stuck") ? "a pause of the machine was taken for a stuck application" : undefined,
    seen: (result) => count(result, "freeze") >= 3,
  },
  {
    name: "a request that ends the application ends it twice, is set aside, and costs no host and no other request its answer",
    faults: Array.from(
      { length: 20 },
      (_, i): Fault => ({ kind: "poison", gateway: i % 2, how: "ends", atMs: 4_000 + i * 250, forMs: 1 }),
    ),
    always: (result) => oneEpoch(result) ?? endedAtMost(2)(result) ?? othersNotExecuted(result),
    seen: ({ operations }) =>
      operations.filter(({ poison, outcome }) => poison !== undefined && outcome.kind === "not-executed").length > 10,
  },
  {
    name: "an answer that must be refused is given once, and fails no other request and no host",
    faults: Array.from(
      { length: 10 },
      (_, i): Fault => ({ kind: "poison", gateway: i % 2, how: "invalid", atMs: 4_000 + i * 250, forMs: 1 }),
    ),
    always: (result) => oneEpoch(result) ?? endedAtMost(0)(result) ?? othersNotExecuted(result),
    seen: ({ operations }) =>
      operations.some(({ poison, outcome }) => poison === "invalid" && outcome.kind === "unknown"),
  },
  {
    name: "processes that leave the application's group end with its term",
    faults: [
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 1_000 },
      { kind: "switchover", gateway: 0, atMs: 8_000, forMs: 1 },
    ],
    options: { escapeShare: 1, faultyMs: 12_000 },
    seen: (result) => said(result, "left processes behind"),
  },
  {
    name: "the application cannot start anywhere for twenty seconds after the primary was killed, and then everything is whole again",
    faults: [
      { kind: "application-broken", who: "all", how: "ends", atMs: 3_900, forMs: 20_000 },
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 1_000 },
    ],
    options: { faultyMs: 60_000 },
    always: servedAfter(55_000),
    seen: (result) => said(result, "application ended"),
  },
  {
    name: "what every new primary meets after a moment does not make an epoch a second",
    faults: [{ kind: "application-broken", who: "all", how: "crashes", atMs: brokenAtMs, forMs: brokenMs }],
    options: { faultyMs: brokenAtMs + brokenMs, holdMs: 5_000 },
    always: brakedWrongly,
    seen: (result) => claims(result) > 3,
  },
  {
    name: "a candidate that cannot write its vault is passed over",
    faults: [
      { kind: "vault", who: 1, trouble: "full", atMs: 3_000, forMs: 6_000 },
      { kind: "kill", who: "primary", atMs: 5_000, forMs: 4_000 },
    ],
    always: servedAfter(8_500),
    seen: (result) => claims(result) > 1,
  },
  {
    name: "the vault is away for six seconds for all hosts, and the primary stays",
    faults: [{ kind: "vault", who: "all", trouble: "away", atMs: 4_000, forMs: 6_000 }],
    options: { faultyMs: 14_000 },
    always: (result) => oneEpoch(result) ?? servedAfter(11_000)(result),
    seen: ({ figures }) => figures.ambiguousPuts > 0,
  },
];
