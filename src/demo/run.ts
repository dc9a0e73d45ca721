/**
 * A whole demo: cluster, load, events, read-back, verdict. Everything that it starts ends with it, by `finally` and, when
 * this process is killed, by the reaper.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import { type DemoApplicationName, demoApplication } from "./applications.ts";
import { Cluster } from "./cluster.ts";
import { seededDice } from "./dice.ts";
import { Display, type DisplayStream, eventLine, type LiveView, seconds } from "./display.ts";
import { type EventStage, runEvent } from "./events.ts";
import { GatewayView } from "./gateway-view.ts";
import { History } from "./history.ts";
import { Load } from "./load.ts";
import { planEvents } from "./plan.ts";
import { ProcessKeeper } from "./processes.ts";
import { selfCommand } from "./self.ts";
import { ShownHosts } from "./shown-hosts.ts";
import { type EventResult, verdictLines, verdictObject, type VerdictObject } from "./verdict.ts";

export interface DemoOptions {
  readonly app: DemoApplicationName;
  readonly kills: number;
  /** The load lasts at least so long; the events are spread over it. */
  readonly durationMs: number;
  readonly seed: number;
  /** Leave the cluster running after the verdict, until `signal` is aborted. */
  readonly keep: boolean;
  readonly clock: Clock;
  readonly stream: DisplayStream;
  readonly signal: AbortSignal;
}

/** Called when the verdict is known; with `keep` long before `runDemo` returns. */
export type OnVerdict = (verdict: VerdictObject) => void;

const hostCount = 3;
const workers = 16;
const requestsPerSecond = 400;
const requestTimeoutMs = 60_000;
const wholeWithinMs = 60_000;
/** Load before the first event and after the last. */
const quietMs = 1500;
/** Between the end of an event and the next one at least. */
const calmMs = 500;
const closeGraceMs = 3000;
const stripBuckets = 50;
const stripMs = 5000;

export async function runDemo(options: DemoOptions, onVerdict: OnVerdict): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "stead-demo-"));
  const keeper = new ProcessKeeper(folder);
  try {
    await runIn(folder, keeper, options, onVerdict);
  } finally {
    await keeper.close(closeGraceMs);
  }
}

async function runIn(folder: string, keeper: ProcessKeeper, options: DemoOptions, onVerdict: OnVerdict): Promise<void> {
  const { clock, signal, seed, app, stream } = options;
  const application = demoApplication(app, folder);
  const cluster = await Cluster.create({ folder, service: app, application, hosts: hostCount, gateways: 1, keeper, clock });
  const dice = seededDice(seed);
  const history = new History();
  const model = application.makeModel(`d${seed}`, workers);
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("the demo has no gateway");
  const load = new Load({ urls: [gateway.url], model, history, clock, seed, workers, requestsPerSecond, timeoutMs: requestTimeoutMs });
  const view = new GatewayView(gateway.adminUrl, cluster.secret, app, clock);
  const startedAt = clock.now();
  const shown = new ShownHosts(cluster, clock);
  const display = new Display(stream, () => liveView(load, history, shown, clock.now() - startedAt, clock.now()));
  const say = (text: string): void => display.line(`${seconds(clock.now() - startedAt)}  ${text}`);
  try {
    say(`${app}: one gateway, one primary, two secondaries, a fresh vault in ${folder}; seed ${seed}`);
    await startAll(cluster, view, signal);
    say("all are there; the load starts");
    await load.start();
    const stage: EventStage = { cluster, gateway: view, clock, dice, model, history, meter: load.meter, readPath: application.readPath, signal, say };
    const loadStartedAt = clock.now();
    const { events, zombieAcknowledged } = await runEvents(stage, options, loadStartedAt, display, startedAt);
    await waitUntil(clock, Math.max(loadStartedAt + options.durationMs, clock.now() + quietMs), signal);
    await load.stop();
    say("the load has stopped; everything is read back");
    const { entries, broken } = await model.readBack((path) => load.get(path));
    if (broken !== undefined) history.report("sum", broken);
    const result = history.finish(entries);
    const verdict = verdictObject({ events, counts: load.counts, ...(await view.counters()), result, zombieAcknowledged, history });
    for (const failure of load.failures) display.line(`  failed: ${failure}`);
    for (const { kind, detail } of history.violations) display.line(`  ${kind}: ${detail}`);
    for (const line of verdictLines(verdict)) display.line(line);
    onVerdict(verdict);
    if (options.keep) await keepRunning(cluster, display, signal);
  } finally {
    display.close();
    await shown.close();
    await load.close();
  }
}

/** The first host makes the vault; the others wait for it anyway, so all start at once. */
async function startAll(cluster: Cluster, view: GatewayView, signal: AbortSignal): Promise<void> {
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, signal);
  await cluster.until("the gateway to find the primary", wholeWithinMs, signal, () => "it has not", async () => {
    return (await view.isServing().catch(() => false)) ? true : undefined;
  });
}

interface EventsDone {
  readonly events: EventResult[];
  readonly zombieAcknowledged: number;
}

async function runEvents(stage: EventStage, options: DemoOptions, loadStartedAt: number, display: Display, startedAt: number): Promise<EventsDone> {
  const { clock, dice, history, signal } = stage;
  const plan = planEvents(options.kills, dice);
  const events: EventResult[] = [];
  let zombieAcknowledged = 0;
  for (const [index, kind] of plan.entries()) {
    const due = loadStartedAt + quietMs + (index * Math.max(0, options.durationMs - 2 * quietMs)) / plan.length;
    await waitUntil(clock, Math.max(due, index === 0 ? 0 : clock.now() + calmMs), signal);
    const outcome = await runEvent(kind, stage);
    events.push(outcome.result);
    zombieAcknowledged += outcome.zombieAcknowledged.length;
    for (const answer of outcome.zombieAcknowledged) history.report("zombie-process", `a replaced primary answered ${answer}`);
    display.line(eventLine(clock.now() - startedAt, outcome.what, outcome.result));
  }
  return { events, zombieAcknowledged };
}

async function waitUntil(clock: Clock, atMs: number, signal: AbortSignal): Promise<void> {
  const waitMs = atMs - clock.now();
  if (waitMs > 0) await clock.sleep(waitMs, signal);
}

async function keepRunning(cluster: Cluster, display: Display, signal: AbortSignal): Promise<void> {
  const [gateway] = cluster.gateways;
  if (gateway === undefined) return;
  display.line("");
  display.line(`the cluster keeps running until Ctrl-C:`);
  display.line(`  clients      ${gateway.url}`);
  display.line(`  admin        ${gateway.adminUrl}`);
  for (const host of cluster.hosts) display.line(`  ${host.id.padEnd(12)} ${host.dataUrl}   log ${host.logFile}`);
  const stead = selfCommand().join(" ");
  display.line(`  ${stead} status --config ${gateway.configFile}`);
  for (const table of ["hosts", "health", "epochs", "failovers"]) {
    display.line(`  ${stead} sql --config ${gateway.configFile} 'select * from ${table}'`);
  }
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function liveView(load: Load, history: History, shown: ShownHosts, elapsedMs: number, nowMs: number): LiveView {
  const strip = load.meter.histogram(nowMs - stripMs, nowMs, stripBuckets);
  const perSecond = load.meter.histogram(nowMs - 1000, nowMs, 1)[0] ?? 0;
  return { elapsedMs, hosts: shown.texts, strip, perSecond, waiting: load.inFlight, acknowledged: history.acknowledgedCount };
}
