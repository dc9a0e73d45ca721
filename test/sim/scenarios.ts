/**
 * Known ways in which other systems lost data or availability, one by one: a calm cluster, and then exactly this. Each
 * has a name that says what happens, and a proof that it did happen; what must be true of every history is checked
 * anyway.
 */
import { allRules, type Rules } from "../../src/core/rules.ts";
import type { Fault } from "./faults.ts";
import type { SegmentOptions, SimOptions } from "./options.ts";
import { run, type RunResult } from "./run.ts";

export interface Scenario {
  readonly name: string;
  readonly faults: readonly Fault[];
  readonly options?: Partial<SimOptions>;
  /** What must hold in every seed; undefined when it does. */
  readonly always?: (result: RunResult) => string | undefined;
  /** What the scenario is about: seen in at least one of its seeds, or it shows nothing. */
  readonly seen: (result: RunResult) => boolean;
}

const calm: Omit<SimOptions, keyof SegmentOptions> & { readonly log: "objects" } = {
  log: "objects",
  ...{
    hosts: 3,
    earlierHosts: 0,
    hasKeys: true,
    isEncrypted: false,
    pausesHandover: true,
    gateways: 2,
    clients: 4,
    keys: 3,
    leaseMs: 1_000,
    driftMarginMs: 100,
    driftShare: 0.001,
    pollMs: 25,
    drainTimeoutMs: 1_000,
  },
  ...{
    probeIntervalMs: 250,
    probeTimeoutMs: 500,
    fall: 2,
    rise: 2,
    againShare: 0,
    holdMs: 10_000,
    heldMax: 100,
    firstByteMs: 5_000,
  },
  ...{
    clientTimeoutMs: 12_000,
    thinkMs: 20,
    writeShare: 0.5,
    putShare: 0.3,
    poisonShare: 0,
    longShare: 0,
    checkpointIntervalMs: 60_000,
    checkpointJournalBytes: 10_000_000,
    keepMin: 2,
    windowMs: 0,
  },
  ...{
    pageSize: 512,
    pagesPerPart: 2,
    diskMs: 0.05,
    applicationStartMs: 50,
    applicationExecMs: 1,
    longMs: 3_000,
    patienceMs: 1_000,
    syncShare: 0.1,
    checkpointShare: 0,
    escapeShare: 0,
    fileEvery: 0,
    files: { coversIncoming: true, inlineBytesMax: 0, eventsMax: 1, strayShare: 0, slowMoveShare: 0 },
    http: { splitShare: 0.2, pieceDelayMs: 0.2, earlyHeadShare: 0.1 },
  },
  ...{
    networkDelayMs: [0.1, 0.5],
    lossShare: 0,
    heldShare: 0.5,
    vaultLatencyMs: [1, 5],
    vaultTimeoutMs: 400,
    lostReplyShare: 0,
    lostRequestShare: 0,
  },
  ...{ lateShare: 0, staleMissMs: 0, lateDeleteShare: 0, faultyMs: 10_000, isWell: false, faultEveryMs: 1_000 },
};

/** Checkpoints and their clean-up twice a second: what is not needed is gone soon. */
const eager: Partial<SimOptions> = { checkpointIntervalMs: 500, keepMin: 1, windowMs: 0 };

export const said = (result: RunResult, words: string): boolean =>
  result.trace.some(({ what }) => what.includes(words));
export const count = (result: RunResult, words: string): number =>
  result.trace.filter(({ what }) => what.includes(words)).length;
const noErrors = ({ figures }: RunResult): string | undefined =>
  figures.unknown + figures.notExecuted > 0
    ? `clients got ${figures.unknown} times unknown and ${figures.notExecuted} times not executed`
    : undefined;

export const scenarios: readonly Scenario[] = [
  {
    name: "a primary that hangs for long wakes up as a zombie, and no client hears from it",
    faults: [{ kind: "freeze", who: "primary", withApplication: false, atMs: 4_000, forMs: 6_000 }],
    seen: ({ figures }) => figures.fenced > 0,
  },
  {
    name: "a claim that never served is overtaken: the next primary waits for the lease of the one before it as well",
    faults: [
      { kind: "freeze", who: "primary", withApplication: false, atMs: 4_000, forMs: 1_500 },
      { kind: "force", gateway: 0, atMs: 4_200, forMs: 1 },
      { kind: "force", gateway: 1, atMs: 4_600, forMs: 1 },
    ],
    options: { leaseMs: 2_000, driftMarginMs: 200 },
    seen: (result) => count(result, "claims epoch") >= 3,
  },
  {
    name: "a zombie whose last put was decided while it hung, and whose record retention has deleted since",
    faults: [{ kind: "freeze", who: "primary", withApplication: false, atMs: 4_000, forMs: 7_000 }],
    options: { ...eager, lostReplyShare: 0.3, vaultTimeoutMs: 150 },
    seen: ({ figures }) => figures.fenced > 0,
  },
  {
    name: "a claimant that hangs before its claim wakes up when what it had read is garbage (slatedb 352, 1622)",
    faults: [
      { kind: "strike", role: "claiming", how: "freeze", afterMs: 0, atMs: 3_900, forMs: 7_000 },
      { kind: "force", gateway: 0, atMs: 4_000, forMs: 1 },
    ],
    options: { ...eager, faultyMs: 14_000, thinkMs: 5 },
    seen: (result) => said(result, "where retention had deleted the log"),
  },
  {
    name: "replies of successful puts are lost, and the primary does not take its own records for another's",
    faults: [],
    options: { lostReplyShare: 0.2, vaultTimeoutMs: 150 },
    always: ({ figures }) => (figures.fenced > 0 ? "the primary was fenced by itself" : undefined),
    seen: ({ figures }) => figures.lostReplies > 20,
  },
  {
    name: "the host that takes over dies in its claim: a failover during a failover",
    faults: [
      { kind: "strike", role: "claiming", how: "kill", afterMs: 0, atMs: 3_900, forMs: 3_000 },
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 5_000 },
    ],
    seen: (result) => count(result, "is killed") === 2 && result.figures.failovers > 0,
  },
  {
    name: "both gateways order a failover at the same moment",
    faults: [
      { kind: "force", gateway: 0, atMs: 4_000, forMs: 1 },
      { kind: "force", gateway: 1, atMs: 4_000, forMs: 1 },
    ],
    seen: (result) =>
      ["g1", "g2"].every((gateway) =>
        result.trace.some(({ who, what, atMs }) => who === gateway && what === "serving -> promoting" && atMs < 4_050),
      ),
  },
  {
    name: "a host claims, and dies before its application has started",
    faults: [
      { kind: "strike", role: "starting", how: "kill", afterMs: 0, atMs: 3_900, forMs: 3_000 },
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 1_000 },
    ],
    seen: (result) => said(result, "which is starting") && result.figures.failovers > 1,
  },
  {
    name: "power fails everywhere, and the application had acknowledged with synchronous=NORMAL",
    faults: [
      { kind: "power-all", withVault: true, atMs: 4_000, forMs: 1_000 },
      { kind: "power", who: "primary", atMs: 9_000, forMs: 1_000 },
    ],
    options: { syncShare: 0, faultyMs: 14_000, thinkMs: 5 },
    seen: (result) => count(result, "loses power") > 3,
  },
  {
    name: "the vault is away for a minute under load, and the service continues afterwards",
    faults: [{ kind: "vault", who: "all", trouble: "away", atMs: 4_000, forMs: 60_000 }],
    options: { faultyMs: 75_000, lateShare: 0.01 },
    always: ({ operations }) =>
      operations.some(({ calledAt, outcome }) => calledAt > 66_000 && outcome.kind === "ok")
        ? undefined
        : "nothing was served afterwards",
    seen: (result) => result.figures.ambiguousPuts > 0,
  },
  {
    name: "a secondary that hung is left behind by retention, and starts from a checkpoint",
    faults: [{ kind: "freeze", who: 2, withApplication: true, atMs: 4_000, forMs: 5_000 }],
    options: { ...eager, pollMs: 10, faultyMs: 14_000 },
    seen: (result) => said(result, "was removed by retention"),
  },
  {
    name: "the primary dies while a checkpoint is half written",
    faults: [
      { kind: "checkpoint", who: "primary", atMs: 4_000, forMs: 1 },
      { kind: "kill", who: "primary", atMs: 4_006, forMs: 1_000 },
      { kind: "checkpoint", who: "primary", atMs: 7_000, forMs: 1 },
      { kind: "kill", who: "primary", atMs: 7_013, forMs: 1_000 },
    ],
    seen: ({ figures }) => figures.failovers === 2,
  },
  {
    name: "clocks run at different rates, as far apart as the margin allows, and primaries hang around one lease",
    faults: [4_000, 6_500, 9_000, 11_500].map(
      (atMs): Fault => ({ kind: "freeze", who: "primary", withApplication: false, atMs, forMs: 1_150 }),
    ),
    options: { driftShare: 0.045, faultyMs: 14_000, probeTimeoutMs: 200, probeIntervalMs: 100 },
    seen: ({ figures }) => figures.failovers > 1,
  },
  {
    name: "a partition comes and goes as fast as it is detected",
    faults: [{ kind: "flap", who: "primary", periodMs: 400, atMs: 4_000, forMs: 8_000 }],
    options: { faultyMs: 14_000 },
    seen: (result) => count(result, "-> suspect") > 3,
  },
  {
    name: "a gateway starts again with a database from before the last failovers",
    faults: [
      { kind: "kill-gateway", gateway: 0, database: "kept", atMs: 3_000, forMs: 100 },
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 500 },
      { kind: "kill", who: "primary", atMs: 7_000, forMs: 500 },
      { kind: "kill-gateway", gateway: 0, database: "old", atMs: 9_500, forMs: 100 },
    ],
    options: { faultyMs: 12_000 },
    seen: (result) => said(result, "its database is old"),
  },
  {
    name: "three hosts are restarted one by one, again and again, and no client sees an error",
    faults: Array.from(
      { length: 12 },
      (_, i): Fault => ({ kind: "restart", who: i % 3, atMs: 4_000 + i * 2_000, forMs: 1_000 }),
    ),
    options: { faultyMs: 29_000 },
    always: noErrors,
    seen: ({ figures }) => figures.failovers >= 3,
  },
];

export const runScenario = ({ faults, options }: Scenario, seed: number, rules: Rules = allRules): Promise<RunResult> =>
  run({ seed, rules, faults, options: { ...calm, ...options }, keepTrace: true });
