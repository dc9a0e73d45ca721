/**
 * What the demo and the bench do to a primary, each to its end: a new primary serves and the old one is a secondary
 * again, or its application was restarted. The clients' view is measured over the whole event.
 */
import type { Clock } from "../runtime/clock.ts";
import type { Cluster, HostMember } from "../../harness/cluster.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SuccessMeter } from "../../harness/gap.ts";
import { type GatewayView, noPhases, type RecordedFailover } from "../../harness/gateway-view.ts";
import type { History } from "../../harness/history.ts";
import type { DemoModel } from "../../harness/model.ts";
import type { EventKind } from "./plan.ts";
import { commandOf, descendantsOf, isStopped, livingOf, type ProcessMark } from "../../harness/process-table.ts";
import type { EventResult } from "./verdict.ts";
import { ZombieProbe } from "../../harness/zombie.ts";

export interface EventStage {
  readonly cluster: Cluster;
  /** One gateway, or all of them as one (gateway-fleet.ts). */
  readonly gateway: Pick<GatewayView, "failovers" | "switchover">;
  readonly clock: Clock;
  readonly dice: SeededRandom;
  readonly model: DemoModel;
  readonly history: History;
  readonly meter: SuccessMeter;
  readonly readPath: string;
  readonly signal: AbortSignal;
  say(text: string): void;
}

export interface EventOutcome {
  readonly result: EventResult;
  /** `host-1 killed, host-2 serves` */
  readonly what: string;
  readonly zombieAcknowledged: readonly string[];
}

const failoverWithinMs = 30_000;
const rejoinWithinMs = 60_000;
const processesGoneWithinMs = 5_000;
/** A dead host is restarted after this, as by a service manager. */
const restartAfterMs = 300;
/** How long the zombie is probed before it may run again, and after it is a secondary. */
const zombieProbeMs = 500;
/** How long the clients are still measured after everything is whole again. */
const measureAfterMs = 300;

export async function runEvent(kind: EventKind, stage: EventStage): Promise<EventOutcome> {
  const { cluster, gateway, clock, meter, signal } = stage;
  const before = await cluster.whenWhole(rejoinWithinMs, signal);
  const known = (await gateway.failovers()).at(-1)?.order ?? 0;
  const startedAt = clock.now();
  const { what, zombieAcknowledged } = await act(kind, before, stage);
  await cluster.whenWhole(rejoinWithinMs, signal);
  await clock.sleep(measureAfterMs, signal);
  const gap = meter.longestGap(startedAt, clock.now());
  // Restarting an application in place is no failover, and has no phases.
  const phases = kind === "hang-application" ? noPhases : (await recordedAfter(known, stage)).phases;
  return { result: { kind, phases, gapMs: gap.ms, gapAfterMs: gap.fromMs - startedAt }, what, zombieAcknowledged };
}

type Act = Pick<EventOutcome, "what" | "zombieAcknowledged">;

function act(kind: EventKind, primary: HostMember, stage: EventStage): Promise<Act> {
  switch (kind) {
    case "kill":
      return kill(primary, stage);
    case "switchover":
      return switchover(primary, stage);
    case "hang":
      return hang(primary, stage);
    case "hang-application":
      return hangApplication(primary, stage);
  }
}

async function kill(primary: HostMember, stage: EventStage): Promise<Act> {
  const host = processOf(primary);
  const family = descendantsOf(host.pid);
  stage.say(`SIGKILL to ${primary.id} (process group ${host.pid})`);
  host.signal("SIGKILL");
  await host.ended;
  const next = await newPrimary(primary, stage);
  await familyGone(primary, family, stage);
  await stage.clock.sleep(restartAfterMs, stage.signal);
  await stage.cluster.start(primary);
  return { what: `${primary.id} killed, ${next.id} serves`, zombieAcknowledged: [] };
}

async function switchover(primary: HostMember, stage: EventStage): Promise<Act> {
  stage.say(`planned switchover away from ${primary.id}`);
  await stage.gateway.switchover(stage.signal);
  const next = await newPrimary(primary, stage);
  return { what: `${primary.id} stepped down, ${next.id} serves`, zombieAcknowledged: [] };
}

async function hang(primary: HostMember, stage: EventStage): Promise<Act> {
  const { clock, cluster, signal } = stage;
  const host = processOf(primary);
  stage.say(`SIGSTOP to ${primary.id} (process group ${host.pid})`);
  host.signal("SIGSTOP");
  await cluster.until(
    "the stopped process",
    failoverWithinMs,
    signal,
    () => "it runs",
    () => Promise.resolve(isStopped(host.pid) ? true : undefined),
  );
  const probe = new ZombieProbe({ ...stage, dataUrl: primary.dataUrl, tls: cluster.caller.tls });
  try {
    const next = await newPrimary(primary, stage);
    await clock.sleep(zombieProbeMs, signal);
    stage.say(`SIGCONT to ${primary.id}: a zombie that believes it is primary`);
    host.signal("SIGCONT");
    await cluster.whenWhole(rejoinWithinMs, signal);
    await clock.sleep(zombieProbeMs, signal);
    await probe.stop();
    const acknowledged = probe.acknowledged;
    const answers = `${acknowledged.length} of ${probe.sent} direct requests to the zombie acknowledged`;
    return { what: `${primary.id} hung, ${next.id} serves, ${answers}`, zombieAcknowledged: acknowledged };
  } finally {
    host.signal("SIGCONT");
    await probe.close();
  }
}

/** Sends SIGSTOP to the application alone, and to nothing that watches it. */
async function hangApplication(primary: HostMember, { cluster, signal, say }: EventStage): Promise<Act> {
  const application = descendantsOf(processOf(primary).pid).filter(
    ({ pid }) => commandOf(pid)?.includes("stead-watcher") === false,
  );
  if (application.length === 0) throw new Error(`${primary.id} has no application process to stop`);
  say(`SIGSTOP to the application of ${primary.id} (${application.map(({ pid }) => pid).join(", ")})`);
  for (const { pid } of application) process.kill(pid, "SIGSTOP");
  const [restarted, next] = await cluster.until(
    "the application to be ready again",
    failoverWithinMs,
    signal,
    () => "it is not",
    async () => {
      const now = await cluster.primary();
      // It is the same host, unless the application had been stuck there a moment before.
      return now !== undefined && now.status.application?.state === "ready" && livingOf(application).length === 0
        ? ([now.host === primary, now.host] as const)
        : undefined;
    },
  );
  return {
    what: `the application of ${primary.id} hung, ${restarted ? "it was restarted there" : `${next.id} serves`}`,
    zombieAcknowledged: [],
  };
}

function processOf(host: HostMember): NonNullable<HostMember["process"]> {
  if (host.process === undefined) throw new Error(`${host.id} does not run`);
  return host.process;
}

async function newPrimary(old: HostMember, { cluster, signal }: EventStage): Promise<HostMember> {
  return cluster.until(
    `a primary other than ${old.id}`,
    failoverWithinMs,
    signal,
    () => "there is none",
    async () => {
      const primary = await cluster.primary();
      return primary === undefined || primary.host === old ? undefined : primary.host;
    },
  );
}

/** Every process that the dead host had started, above all its application, must be gone too. */
async function familyGone(
  host: HostMember,
  family: readonly ProcessMark[],
  { cluster, history, clock, signal }: EventStage,
): Promise<void> {
  if (family.length === 0) history.report("zombie-process", `${host.id} had no application process to look for`);
  const until = clock.now() + processesGoneWithinMs;
  for (;;) {
    const living = livingOf(family);
    if (living.length === 0) return;
    if (clock.now() > until) {
      const pids = living.map(({ pid }) => pid).join(", ");
      history.report(
        "zombie-process",
        `${pids} outlived ${host.id} by ${processesGoneWithinMs} ms\n${cluster.logTails()}`,
      );
      return;
    }
    await clock.sleep(10, signal);
  }
}

async function recordedAfter(order: number, { cluster, gateway, signal }: EventStage): Promise<RecordedFailover> {
  return cluster.until(
    "the gateway's record of the failover",
    failoverWithinMs,
    signal,
    () => "there is none",
    async () => {
      return (await gateway.failovers()).filter((one) => one.order > order).at(-1);
    },
  );
}
