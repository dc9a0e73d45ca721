/**
 * Drills: the real primary is taken away, and what clients noticed is measured and kept.
 *
 * A drill begins only if nothing speaks against it (src/core/failover/drill.ts) and no other one runs in the cluster,
 * also if several gateways are given one at the same moment (src/core/failover/drill-order.ts).
 * From then on the gateways act as in any failover: a drill orders nothing that a failure could not cause, so a gateway
 * that ends in the middle leaves a service that recovers by itself, and a row that says `running`, which counts as
 * interrupted after a while. What the host does to itself ends by itself too (src/host/drills.ts).
 */
import { ordererInWords } from "../../control/orderer.ts";
import type { DrillProbeConfig, ServiceConfig } from "../../config/types.ts";
import type { PlannedDrillEntry } from "../../control/drill-api.ts";
import type { EventName } from "../../core/event-name.ts";
import type { EventLevel } from "../../core/failover/state.ts";
import { describeRefusal } from "../../core/refusal.ts";
import { type DrillKind, whyNoDrill } from "../../core/failover/drill.ts";
import { drillRuns, type OrderedDrill, whyGiveWay } from "../../core/failover/drill-order.ts";
import { durationOf } from "../../core/failover/prediction.ts";
import { formatDueTime, nextDue } from "../../core/due-time.ts";
import { type DrillExpectation, expectDrill } from "../../core/failover/drill-expectation.ts";
import type { Clock } from "../../runtime/clock.ts";
import { fromValues } from "../state/replication-tables.ts";
import { type DrillRow, type FailoverRow, putDrill } from "../state/rows.ts";
import type { drills } from "../state/schema.ts";
import type { StateStore } from "../state/store.ts";
import { DrillOrders, isPlanned, plannedEntry } from "./drill-orders.ts";
import type { DrillProbe, ProbeResult } from "./drill-probe.ts";
import { failoversOf, measuredOf } from "./failover-history.ts";
import type { ServiceRuntime } from "./service.ts";

/** Longest time until the service must be back; a drill that takes longer has failed. */
const recoveryMsMax = 120_000;
/** A row that runs for longer belongs to a gateway that has ended. */
const runningMsMax = recoveryMsMax + 60_000;
/** How long the next success of a client is waited for after the service is back. */
const nextSuccessMs = 3_000;
const lookEveryMs = 25;
const drillsShown = 100;
/** The newest that an expectation rests on. */
const drillsCounted = 40;

/** Undefined: none. */
export interface DrillObjective {
  readonly rtoMs: number | undefined;
  readonly probe: DrillProbeConfig | undefined;
}

export interface DrillsOptions {
  readonly gateway: string;
  readonly store: StateStore;
  readonly clock: Clock;
  /** The gateways that count for a majority. */
  registered(): readonly string[];
  /** Resolves with those that know what this one has written, and whose knowledge it has. */
  confirm(): Promise<ReadonlySet<string>>;
  objective(service: string): DrillObjective;
  plans(): readonly Pick<ServiceConfig, "name" | "drill">[];
  probe(config: DrillProbeConfig, drill: string): DrillProbe;
}

export interface DrillOrder {
  readonly kind: DrillKind;
  readonly forMs: number;
  readonly orderedBy: string;
  /** Of a planned one. */
  readonly dueAtMs?: number;
}

export type DrillOutcome =
  | { readonly kind: "run"; readonly drill: DrillRow }
  | { readonly kind: "unsafe"; readonly reasons: readonly string[] };

export class Drills {
  /** Those for a time. */
  readonly orders: DrillOrders;
  readonly #options: DrillsOptions;
  #last = 0;

  constructor(options: DrillsOptions) {
    this.#options = options;
    this.orders = new DrillOrders(options);
  }

  /** Returns the newest drills of all gateways, oldest first; `service`: default, of all. */
  list(service?: string): readonly DrillRow[] {
    const now = this.#options.clock.wallTime();
    return [...this.#options.store.replica.rowsOf("drills")]
      .filter(({ deleted }) => !deleted)
      .map((row) => fromValues<typeof drills.$inferSelect>(row))
      .filter((row) => !isPlanned(row) && (service === undefined || row.service === service))
      .sort((a, b) => a.startedAtMs - b.startedAtMs)
      .slice(-drillsShown)
      .map((row) =>
        isUnfinished(row) && now - row.startedAtMs > runningMsMax ? { ...row, outcome: "interrupted" } : row,
      );
  }

  /** Returns the newest finished one of each service. */
  newest(): readonly DrillRow[] {
    const newest = new Map(this.list().flatMap((row) => (isUnfinished(row) ? [] : [[row.service, row] as const])));
    return [...newest.values()];
  }

  /** Returns the newest finished one of a service. */
  lastOf(service: string): DrillRow | undefined {
    return this.list(service).findLast((row) => !isUnfinished(row));
  }

  /** Returns the one of a service that is due first. */
  nextOf(service: string): PlannedDrillEntry | undefined {
    return this.planned()
      .filter((planned) => planned.service === service)
      .toSorted((a, b) => a.nextAtMs - b.nextAtMs)[0];
  }

  /** Returns what the configuration plans, and what was ordered for a time. */
  planned(): readonly PlannedDrillEntry[] {
    const now = this.#options.clock.wallTime();
    const plans = this.#options.plans().flatMap(({ name: service, drill }) => {
      if (drill === undefined) return [];
      const { kind, at } = drill;
      return [{ service, kind, at: formatDueTime(at), nextAtMs: nextDue(at, now) }];
    });
    return [...plans, ...this.orders.list().map(plannedEntry)];
  }

  /** Runs it to its end; `unsafe`: nothing was done. */
  async run(service: ServiceRuntime, order: DrillOrder, signal: AbortSignal): Promise<DrillOutcome> {
    const reasons = this.#whyNot(service, order.kind);
    if (reasons.length > 0) return { kind: "unsafe", reasons };
    const ordered = this.#order(service, order);
    const giveWay = whyGiveWay({
      ...{ own: orderedDrill(ordered), confirmed: await this.#options.confirm() },
      registered: this.#options.registered(),
      others: this.#unfinished().filter(({ id }) => id !== ordered.id),
    });
    const { probe: config } = this.#options.objective(service.name);
    const probe = config === undefined ? undefined : this.#options.probe(config, ordered.id);
    const late = giveWay === undefined ? await this.#whyNotYet(service, order.kind, probe) : [giveWay];
    if (late.length > 0) {
      this.#options.store.write(putDrill({ ...ordered, deleted: true }));
      return { kind: "unsafe", reasons: late };
    }
    const epochFrom = service.state.primary?.epoch ?? 0;
    const begun = this.#begin(service, ordered, order.forMs);
    let drill: DrillRow | undefined;
    let probed: ProbeResult | undefined;
    try {
      const failure = await this.#inflict(service, order, signal);
      drill =
        failure === undefined
          ? await this.#measure(service, { ...order, epochFrom }, begun, signal)
          : { ...begun, outcome: "failed", detail: failure };
    } finally {
      probed = await probe?.close();
    }
    return this.#record(service, probed === undefined ? drill : withProbe(drill, probed));
  }

  /** Meanwhile something may have gone wrong, and the primary is another one. */
  async #whyNotYet(
    service: ServiceRuntime,
    kind: DrillKind,
    probe: DrillProbe | undefined,
  ): Promise<readonly string[]> {
    const failure = await probe?.begin();
    const reasons = [...this.#whyNotNow(service, kind), ...(failure === undefined ? [] : [failure])];
    if (reasons.length > 0) await probe?.close();
    return reasons;
  }

  #whyNot(service: ServiceRuntime, kind: DrillKind): readonly string[] {
    const [running] = this.#unfinished();
    return [...this.#whyNotNow(service, kind), ...(running === undefined ? [] : [drillRuns(running)])];
  }

  #whyNotNow(service: ServiceRuntime, kind: DrillKind): readonly string[] {
    const reasons = [...whyNoDrill(service.state, service.now())];
    const next = service.expectedPrimary();
    const rehearsal = next === undefined ? undefined : service.monitorOf(next)?.status?.rehearsal;
    if (rehearsal?.ok === false) reasons.push(`the last rehearsal on ${next} failed: \`stead rehearse ${next}\``);
    const primary = service.state.primary?.host ?? "";
    if (kind !== "switchover" && service.clientOf(primary)?.drill === undefined)
      reasons.push(`${primary} is no stead host: only a switchover can be drilled`);
    return reasons;
  }

  /** Ordered or running, on any gateway. */
  #unfinished(): readonly OrderedDrill[] {
    return this.list().filter(isUnfinished).map(orderedDrill);
  }

  /** Records a planned drill that was not safe. */
  refuse(service: ServiceRuntime, order: DrillOrder, reasons: readonly string[]): void {
    const detail = `it was due and not safe: ${reasons.join("; ")}`;
    this.#record(service, { ...this.#rowOf(service, order), outcome: "refused", detail });
  }

  #order(service: ServiceRuntime, order: DrillOrder): DrillRow {
    const drill = this.#rowOf(service, order);
    this.#options.store.write(putDrill(drill));
    return drill;
  }

  #rowOf(service: ServiceRuntime, { kind, orderedBy, dueAtMs }: DrillOrder): DrillRow {
    const { gateway, clock } = this.#options;
    const startedAtMs = Math.floor(clock.wallTime());
    return {
      ...{ id: `${gateway}.${service.name}.${startedAtMs}.${++this.#last}`, service: service.name, kind, gateway },
      ...{ orderedBy, startedAtMs, outcome: "ordered", fromHost: service.state.primary?.host, detail: "" },
      ...{ objectiveMs: this.#options.objective(service.name).rtoMs, dueAtMs },
    };
  }

  #begin(service: ServiceRuntime, ordered: DrillRow, forMs: number): DrillRow {
    const from = service.state.primary?.host;
    const kind = ordered.kind as DrillKind;
    const expected = this.#expected(service, kind, forMs);
    const prediction = expected === undefined ? undefined : JSON.stringify(expected.phases);
    const drill: DrillRow = {
      ...ordered,
      ...{ outcome: "running", fromHost: from, predictedMs: expected?.gapMs, prediction },
    };
    this.#options.store.write(putDrill(drill));
    service.recorder.recordEvent(
      "info",
      "drill-started",
      from,
      `${kind}, ordered by ${ordererInWords(ordered.orderedBy)}`,
    );
    service.traffic.watchGap(this.#gapKey, ({ ms }) => (this.#gapMs = ms));
    return drill;
  }

  #expected(service: ServiceRuntime, kind: DrillKind, forMs: number): DrillExpectation | undefined {
    const basis = service.predictionBasis();
    if (basis === undefined) return undefined;
    const failovers = failoversOf(this.#options.store, service.name);
    const drills = this.list(service.name).flatMap(({ kind: of, measuredBy, rtoMs, failover }) => {
      if (measuredBy !== "clients" || typeof rtoMs !== "number") return [];
      const caused = failovers.filter(({ id }) => id === failover);
      const [measured] = measuredOf(caused);
      // One that needed several attempts says nothing about the next.
      return caused.length > 0 && measured === undefined ? [] : [{ kind: of, rtoMs, phases: measured?.phases }];
    });
    const primary = service.monitorOf(service.state.primary?.host ?? "")?.status?.application;
    const patienceMs = primary?.patienceMs ?? undefined;
    return expectDrill(kind, { ...basis, drills: drills.slice(-drillsCounted), forMs, patienceMs });
  }

  #gapMs: number | undefined;
  /** Failovers have positive keys. */
  get #gapKey(): number {
    return -this.#last;
  }

  /** Returns why nothing happened. */
  async #inflict(
    service: ServiceRuntime,
    { kind, forMs }: DrillOrder,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    this.#gapMs = undefined;
    if (kind === "switchover") {
      const outcome = await service.command({ kind: "switchover", target: undefined }, signal);
      return outcome.kind === "done" ? undefined : outcome.why;
    }
    const primary = service.state.primary?.host ?? "";
    const answer = await service.clientOf(primary)?.drill?.({ kind, forMs }, signal);
    if (answer?.kind === "ok") return undefined;
    if (answer?.kind === "refused-by-host") return `${primary}: ${describeRefusal(answer.refusal)}`;
    return `${primary} did not take the order: ${answer?.message ?? "it is no host that can be asked"}`;
  }

  async #measure(
    service: ServiceRuntime,
    { kind, forMs, epochFrom }: DrillOrder & { readonly epochFrom: number },
    begun: DrillRow,
    signal: AbortSignal,
  ): Promise<DrillRow> {
    const { clock } = this.#options;
    const until = clock.now() + recoveryMsMax;
    const endsAt = clock.now() + forMs;
    let failover: FailoverRow | undefined;
    // A hang may end without a failover: the host restarts its application, or the application continues.
    const isBack = (): boolean =>
      service.state.phase.kind === "serving" &&
      (failover !== undefined || (kind === "hang" && clock.now() > endsAt && isReady(service)));
    while (!isBack()) {
      if (clock.now() > until)
        return { ...begun, outcome: "failed", detail: `the service was not back within ${recoveryMsMax / 1_000} s` };
      await clock.sleep(lookEveryMs, signal);
      failover = this.#failoverOf(begun, epochFrom);
    }
    service.traffic.closeGap(this.#gapKey);
    const successBy = clock.now() + nextSuccessMs;
    while (this.#gapMs === undefined && clock.now() < successBy) await clock.sleep(lookEveryMs, signal);
    return this.#judge(begun, failover);
  }

  /** By the epoch that it ended: two clocks would have to agree about a millisecond. */
  #failoverOf({ service }: DrillRow, epochFrom: number): FailoverRow | undefined {
    return failoversOf(this.#options.store, service).findLast(
      (row) => row.outcome === "done" && row.epochFrom === epochFrom,
    );
  }

  #judge(begun: DrillRow, failover: FailoverRow | undefined): DrillRow {
    const gapMs = this.#gapMs ?? failover?.gapMs ?? undefined;
    const [measured] = failover === undefined ? [] : measuredOf([failover]);
    const rtoMs = gapMs ?? (measured === undefined ? undefined : durationOf(measured.phases));
    const limit = begun.objectiveMs ?? undefined;
    const isMissed = limit !== undefined && rtoMs !== undefined && rtoMs > limit;
    return {
      ...begun,
      outcome: isMissed ? "missed" : "passed",
      toHost: failover?.toHost ?? begun.fromHost,
      failover: failover?.id,
      rtoMs,
      phases: measured === undefined ? undefined : JSON.stringify(measured.phases),
      measuredBy: gapMs !== undefined ? "clients" : rtoMs !== undefined ? "phases" : undefined,
      detail:
        failover === undefined
          ? "the same host continued: no failover was needed"
          : `${failover.toHost ?? "another host"} became primary by a ${failover.kind === "switchover" ? "switchover" : `failover (${failover.kind})`}`,
    };
  }

  #record(service: ServiceRuntime, drill: DrillRow): DrillOutcome {
    this.#options.store.write(putDrill(drill));
    const { level, what } = eventOf[drill.outcome] ?? { level: "warning", what: "drill-failed" };
    service.recorder.recordEvent(level, what, drill.fromHost ?? undefined, inWords(drill));
    return { kind: "run", drill };
  }
}

const isUnfinished = ({ outcome }: DrillRow): boolean => outcome === "ordered" || outcome === "running";

const orderedDrill = ({ id, service, gateway, startedAtMs, outcome }: DrillRow): OrderedDrill => ({
  ...{ id, service, gateway },
  orderedAtMs: startedAtMs,
  hasBegun: outcome === "running",
});

/** A write that was acknowledged and is lost is a failure, however short the wait was. */
const withProbe = (drill: DrillRow, { writes, lost, unread, rpoMs }: ProbeResult): DrillRow => ({
  ...drill,
  ...{ probeWrites: writes, probeLost: lost, rpoMs },
  outcome: lost > 0 ? "failed" : drill.outcome,
  detail: [
    drill.detail,
    lost > 0
      ? `${lost} of ${writes} acknowledged writes were lost`
      : `none of ${writes - unread} acknowledged writes was lost`,
    ...(unread > 0 ? [`${unread} could not be read back`] : []),
  ].join(", "),
});

interface DrillEvent {
  readonly level: EventLevel;
  readonly what: EventName;
}

const eventOf: Readonly<Record<string, DrillEvent>> = {
  passed: { level: "info", what: "drill-passed" },
  missed: { level: "warning", what: "drill-missed" },
};

function isReady(service: ServiceRuntime): boolean {
  const primary = service.state.primary?.host;
  return primary !== undefined && service.monitorOf(primary)?.status?.application?.state === "ready";
}

function inWords({ kind, detail, rtoMs, predictedMs, objectiveMs }: DrillRow): string {
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const parts = [
    `${kind}: ${detail}`,
    ...(typeof rtoMs === "number" ? [`clients waited ${ms(rtoMs)}`] : []),
    ...(typeof predictedMs === "number" ? [`expected ${ms(predictedMs)}`] : []),
    ...(typeof objectiveMs === "number" ? [`the objective is ${ms(objectiveMs)}`] : []),
  ];
  return parts.join(", ");
}
