/**
 * A whole demo: cluster, load, events, read-back, verdict. Everything that it starts ends with it, by `finally` and,
 * when this process is killed, by the reaper.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../runtime/clock.ts";
import { type DemoApplicationName, demoApplication } from "../../harness/applications.ts";
import { Cluster } from "../../harness/cluster.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { Display, type DisplayStream, eventLine, type LiveView, seconds } from "./display.ts";
import { type EventStage, runEvent } from "./events.ts";
import { GatewayFleet } from "../../harness/gateway-fleet.ts";
import { whenSame } from "../../harness/gateway-rows.ts";
import { GatewayStrikes } from "./gateway-strikes.ts";
import { History } from "../../harness/history.ts";
import { Load } from "../../harness/load.ts";
import { planEvents } from "./plan.ts";
import { ProcessKeeper } from "../../harness/processes.ts";
import { selfCommand } from "../runtime/self-command.ts";
import { ShownHosts } from "./shown-hosts.ts";
import { type EventResult, verdictLines, verdictObject, type VerdictObject } from "./verdict.ts";

export interface DemoOptions {
  readonly app: DemoApplicationName;
  readonly kills: number;
  /** More than one: peers, all of them with clients, killed and started again while the demo runs. 1 when left out. */
  readonly gateways?: number;
  /** Hosts share the vault's folder, or reach it over a vault server. `shared` when left out. */
  readonly vault?: "shared" | "serve";
  /** Processes call each other over mutual TLS. In clear text when left out. */
  readonly tls?: boolean;
  /** Minimum duration of the load; the events are spread over it. */
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
/** After the last gateway has come back. */
const convergeWithinMs = 30_000;
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
  const { clock, signal, seed, app, stream, gateways = 1 } = options;
  const application = demoApplication(app, folder);
  const cluster = await Cluster.create({
    vaultKeys: options.tls === true ? "encrypted" : "mac",
    folder,
    service: app,
    application,
    hosts: hostCount,
    gateways,
    keeper,
    clock,
    isVaultServed: options.vault === "serve",
    isTls: options.tls,
  });
  const dice = new SeededRandom(seed);
  const history = new History();
  const model = application.makeModel(`d${seed}`, workers);
  const [first, ...others] = cluster.gateways;
  if (first === undefined) throw new Error("the demo has no gateway");
  const urls: [string, ...string[]] = [first.url, ...others.map(({ url }) => url)];
  const load = new Load({ urls, model, history, clock, seed, workers, requestsPerSecond, timeoutMs: requestTimeoutMs });
  const startedAt = clock.now();
  const shown = new ShownHosts(cluster, clock);
  const display = new Display(stream, () => liveView(load, history, shown, clock.now() - startedAt, clock.now()));
  const say = (text: string): void => display.line(`${seconds(clock.now() - startedAt)}  ${text}`);
  const fleet = new GatewayFleet(cluster, app, clock, say);
  try {
    say(
      `${app}: ${gateways === 1 ? "one gateway" : `${gateways} gateways`}, one primary, two secondaries, a fresh vault in ${folder}${cluster.vaultServer === undefined ? "" : " with a vault server"}${options.tls === true ? ", encrypted, mutual TLS between all of them" : ""}; seed ${seed}`,
    );
    await startAll(cluster, fleet, signal);
    say("all are up; the load starts");
    await load.start();
    const stage: EventStage = {
      cluster,
      gateway: fleet,
      clock,
      dice,
      model,
      history,
      meter: load.meter,
      readPath: application.readPath,
      signal,
      say,
    };
    const loadStartedAt = clock.now();
    const strikes =
      gateways === 1
        ? undefined
        : new GatewayStrikes({ cluster, fleet, clock, dice: new SeededRandom(seed + 1), signal, say });
    const { events, zombieAcknowledged } = await runEvents(stage, strikes, options, loadStartedAt, display, startedAt);
    await waitUntil(clock, Math.max(loadStartedAt + options.durationMs, clock.now() + quietMs), signal);
    await load.stop();
    say("the load has stopped; reading everything back");
    const { entries, broken } = await model.readBack((path) => load.get(path));
    if (broken !== undefined) history.report("sum", broken);
    const result = history.finish(entries);
    const gatewaysConvergeMs = strikes === undefined ? 0 : await converge(cluster, strikes, options, display);
    const found = {
      counts: load.counts,
      ...(await fleet.counters()),
      result,
      zombieAcknowledged,
      history,
      gatewaysConvergeMs,
    };
    const verdict = verdictObject({ events, ...found });
    for (const failure of load.failures) display.line(`  failed: ${failure}`);
    for (const { kind, detail } of history.violations) display.line(`  ${kind}: ${detail}`);
    for (const line of verdictLines(verdict, gateways)) display.line(line);
    onVerdict(verdict);
    if (options.keep) await keepRunning(cluster, display, signal);
  } finally {
    display.close();
    await shown.close();
    await load.close();
  }
}

/** The first host makes the vault; the others wait for it anyway, so all start at once. */
async function startAll(cluster: Cluster, fleet: GatewayFleet, signal: AbortSignal): Promise<void> {
  await cluster.startVaultServer(signal);
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, signal);
  await cluster.until(
    "every gateway to find the primary",
    wholeWithinMs,
    signal,
    () => "it has not",
    async () => {
      return (await fleet.isServing().catch(() => false)) ? true : undefined;
    },
  );
}

interface EventsDone {
  readonly events: EventResult[];
  readonly zombieAcknowledged: number;
}

async function runEvents(
  stage: EventStage,
  strikes: GatewayStrikes | undefined,
  options: DemoOptions,
  loadStartedAt: number,
  display: Display,
  startedAt: number,
): Promise<EventsDone> {
  const { clock, dice, history, signal } = stage;
  const plan = planEvents(options.kills, dice);
  const events: EventResult[] = [];
  let zombieAcknowledged = 0;
  for (const [index, kind] of plan.entries()) {
    const due = loadStartedAt + quietMs + (index * Math.max(0, options.durationMs - 2 * quietMs)) / plan.length;
    await waitUntil(clock, Math.max(due, index === 0 ? 0 : clock.now() + calmMs), signal);
    // The first kill that meets a gateway in the middle of a failover is enough; with every other event one dies beside
    // it.
    const strike = kind === "kill" && strikes?.inTheMiddle === 0 ? "acting" : "beside";
    const [outcome] = await Promise.all([runEvent(kind, stage), strikes?.during(strike)]);
    events.push(outcome.result);
    zombieAcknowledged += outcome.zombieAcknowledged.length;
    for (const answer of outcome.zombieAcknowledged)
      history.report("zombie-process", `a replaced primary answered ${answer}`);
    display.line(eventLine(clock.now() - startedAt, outcome.what, outcome.result));
  }
  return { events, zombieAcknowledged };
}

/** One gateway loses everything and comes back; null when the gateways do not end with the same rows. */
async function converge(
  cluster: Cluster,
  strikes: GatewayStrikes,
  { clock, signal, kills }: DemoOptions,
  display: Display,
): Promise<number | null> {
  if (kills > 0)
    display.line(
      `  the acting gateway was killed in the middle of a failover: ${strikes.inTheMiddle === 0 ? "not this time" : "yes"}`,
    );
  const sinceMs = await strikes.emptied();
  const { gateways, caller } = cluster;
  const { ms, differences } = await whenSame({ gateways, caller, clock, sinceMs, withinMs: convergeWithinMs, signal });
  for (const line of differences) display.line(`  gateways differ: ${line}`);
  return ms;
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
  for (const { url, adminUrl } of cluster.gateways) {
    display.line(`  clients      ${url}`);
    display.line(`  admin        ${adminUrl}`);
  }
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
  return {
    elapsedMs,
    hosts: shown.texts,
    strip,
    perSecond,
    waiting: load.inFlight,
    acknowledged: history.acknowledgedCount,
  };
}
