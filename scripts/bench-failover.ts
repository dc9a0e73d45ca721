/**
 * `bun run bench:failover`: how long clients wait when the primary is killed (SIGKILL to its process group), hangs
 * (SIGSTOP), is switched over, and when its application alone hangs (SIGSTOP). One cluster at default settings (one
 * gateway, three hosts), under one steady load all the time; the events in turns, each to its end, and everything read
 * back at last.
 *
 * `--app notes|ledger` (notes), `--repetitions N` of each kind (20), `--rate N` requests per second (200), `--seed N`
 * (1), `--patience 1s` sets `host.application.health.patience` (left out: its default), `--kinds kill,hang-application`
 * (all).
 *
 * `--tls`: afterwards the same in a second cluster with mutual TLS between its processes. Printed are its figures too,
 * and for each kind the ratio of its gaps to those in clear text.
 *
 * A gap is the longest time in which no client got an answer, around an event; `quiet` is the same in the second before
 * each event: the gap that this machine and load have without any event. `application` is the time that the application
 * itself took to stop (switchover) and to start until ready; `rest` is the gap without any recorded phase: the time
 * that the clients waited before detection began to count, and after the route was open.
 *
 * The last line with --json: {"bench":"failover","app","repetitions":N,"requests_per_second":N,"quiet_gap_ms":S,
 * "kinds":{"kill":{"count":N,"phases_ms":{"detect":S,"agree":S,"claim":S,"lease":S,"catchup":S,"start":S,"route":S},
 * "application_ms":S,"gap_ms":S,"without_application_ms":S,"rest_ms":S},"hang":{the same},"hang-application":{the
 * same},"switchover":{the same, with drain, stop, flush and vacate in
 * phases_ms}},"requests":{"ok","held","replayed","unknown","failed"},"writes":{"acknowledged",
 * "missing","phantom"},"zombie_acknowledged":N,"invariant_ok":B,"goals":[{"goal","limit","found","met":B}],
 * "tls":{"quiet_gap_ms" to "goals","gap_ratio":{"kill":{"p50","p95","without_application_p50"}}}} where S is
 * {"p50","p95","p99","max"} in milliseconds; p99 is null below 100 repetitions, and the goal for it is held against
 * max. An application that is started again in place has no phases: its gap is patience, detection and start together.
 * Exit code 1 when a write is missing, a request failed or the history does not fit together; goals do not change it.
 */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type HostMember } from "../harness/cluster.ts";
import { SeededRandom } from "../harness/seeded-random.ts";
import { type EventStage, runEvent } from "../src/demo/events.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { History } from "../harness/history.ts";
import { Load } from "../harness/load.ts";
import type { EventKind } from "../src/demo/plan.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { type EventResult, verdictLines, verdictObject, isGood, type VerdictObject } from "../src/demo/verdict.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { percentile, rounded } from "./bench-support.ts";
import { readArguments } from "./failover-bench/arguments.ts";

const hostCount = 3;
const workers = 16;
const requestTimeoutMs = 60_000;
const wholeWithinMs = 60_000;
/** Load without an event, before each event. */
const quietMs = 1_000;
const lookEveryMs = 100;
/** Below so many values the 99th percentile is the highest. */
const p99CountMin = 100;
/** Above the patience, when the application alone hangs. */
const hangApplicationOverMs = 1_500;
const partsOfDemote = ["drain", "stop", "flush", "vacate"] as const;
const commonPhases = ["detect", "agree", "claim", "lease", "catchup", "start", "route"] as const;

interface Measured {
  readonly event: EventResult;
  readonly quietGapMs: number;
  /** Of a switchover: the primary's phases until it had stepped down. */
  readonly demote: Readonly<Record<string, number>>;
}

interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number | null;
  readonly max: number;
}

const options = readArguments();
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const clear = await bench(false);
const secured = options.isTls ? await bench(true) : undefined;
const ratios = secured === undefined ? undefined : ratiosOf(secured.kinds, clear.kinds);
if (ratios !== undefined) printRatios(ratios);
if (options.json) {
  const { app, repetitions, rate } = options;
  const tls = secured === undefined ? {} : { tls: { ...jsonOf(secured), gap_ratio: ratios } };
  const found = { bench: "failover", app, repetitions, requests_per_second: rate, ...jsonOf(clear), ...tls };
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
process.exitCode = [clear, ...(secured === undefined ? [] : [secured])].every(({ verdict }) => isGood(verdict)) ? 0 : 1;

interface Found {
  readonly kinds: Kinds;
  readonly quiet: Spread;
  readonly goals: readonly Goal[];
  readonly verdict: VerdictObject;
}

async function bench(isTls: boolean): Promise<Found> {
  const folder = mkdtempSync(join(tmpdir(), "stead-bench-failover-"));
  const keeper = new ProcessKeeper(folder);
  try {
    if (options.isTls) say(isTls ? "\nmutual TLS between the processes" : "clear text between the processes");
    const { measured, verdict } = await measure(folder, keeper, isTls);
    const kinds = Object.fromEntries(
      options.kinds.map((kind) => [
        kind,
        summaryOf(
          measured.filter(({ event }) => event.kind === kind),
          kind,
        ),
      ]),
    ) as Kinds;
    const quiet = spreadOf(measured.map(({ quietGapMs }) => quietGapMs));
    const goals = goalsOf(kinds, verdict);
    print(kinds, quiet, goals, verdict);
    return { kinds, quiet, goals, verdict };
  } finally {
    await keeper.close(5_000);
  }
}

function jsonOf({ kinds, quiet, goals, verdict }: Found) {
  const { requests, writes, zombie_acknowledged, invariant_ok } = verdict;
  return { quiet_gap_ms: quiet, kinds, requests, writes, zombie_acknowledged, invariant_ok, goals };
}

type Ratios = Partial<
  Record<EventKind, { readonly p50: number; readonly p95: number; readonly without_application_p50: number }>
>;

function ratiosOf(tls: Kinds, text: Kinds): Ratios {
  return Object.fromEntries(
    options.kinds.flatMap((kind) => {
      const [ours, theirs] = [tls[kind], text[kind]];
      if (ours === undefined || theirs === undefined) return [];
      const ratio = (of: (summary: Summary) => number): number => rounded(of(ours) / of(theirs));
      return [
        [
          kind,
          {
            p50: ratio(({ gap_ms }) => gap_ms.p50),
            p95: ratio(({ gap_ms }) => gap_ms.p95),
            without_application_p50: ratio(({ without_application_ms }) => without_application_ms.p50),
          },
        ],
      ];
    }),
  );
}

function printRatios(found: Ratios): void {
  say("\ngaps with mutual TLS, as ratios to those in clear text");
  for (const [kind, { p50, p95, without_application_p50 }] of Object.entries(found))
    say(
      `  ${kind.padEnd(16)} p50 ${p50.toFixed(2)}x, p95 ${p95.toFixed(2)}x; without the application's stop and start p50 ${without_application_p50.toFixed(2)}x`,
    );
}

async function measure(
  folder: string,
  keeper: ProcessKeeper,
  isTls: boolean,
): Promise<{ measured: Measured[]; verdict: VerdictObject }> {
  const application = demoApplication(options.app, folder);
  const cluster = await Cluster.create({
    folder,
    service: options.app,
    application,
    hosts: hostCount,
    gateways: 1,
    keeper,
    clock,
    lookEveryMs,
    hostExtra: healthTable(options.patience),
    isTls,
  });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("the cluster has no gateway");
  const view = new GatewayView(gateway.adminUrl, cluster.caller, options.app, clock);
  const signal = new AbortController().signal;
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, signal);
  await cluster.until(
    "the gateway",
    wholeWithinMs,
    signal,
    () => "",
    async () => ((await view.isServing().catch(() => false)) ? true : undefined),
  );
  const history = new History();
  const model = application.makeModel(`b${options.seed}`, workers);
  const load = new Load({
    urls: [gateway.url],
    model,
    history,
    clock,
    seed: options.seed,
    workers,
    requestsPerSecond: options.rate,
    timeoutMs: requestTimeoutMs,
  });
  try {
    await load.start();
    const dice = new SeededRandom(options.seed);
    const stage: EventStage = {
      cluster,
      gateway: view,
      clock,
      dice,
      model,
      history,
      meter: load.meter,
      readPath: application.readPath,
      signal,
      say: () => undefined,
    };
    const measured: Measured[] = [];
    let zombieAcknowledged = 0;
    for (let turn = 1; turn <= options.repetitions; turn += 1) {
      for (const kind of dice.shuffled(options.kinds)) {
        const { one, zombies } = await measureOne(kind, stage);
        measured.push(one);
        zombieAcknowledged += zombies;
        const { gapMs, phases } = one.event;
        say(
          `${String(turn).padStart(3)} ${kind.padEnd(16)} gap ${gapMs.toFixed(0).padStart(5)} ms, without the application's stop and start ${withoutApplication(one).toFixed(0).padStart(5)} ms (start ${phases.start.toFixed(0)} ms)`,
        );
      }
    }
    await load.stop();
    const { entries, broken } = await model.readBack((path) => load.get(path));
    if (broken !== undefined) history.report("sum", broken);
    const result = history.finish(entries);
    for (const failure of load.failures) say(`  failed: ${failure}`);
    for (const { kind, detail } of history.violations) say(`  ${kind}: ${detail}`);
    const events = measured.map(({ event }) => event);
    return {
      measured,
      verdict: verdictObject({
        events,
        counts: load.counts,
        ...(await view.counters()),
        result,
        zombieAcknowledged,
        history,
      }),
    };
  } finally {
    await load.close();
  }
}

async function measureOne(kind: EventKind, stage: EventStage): Promise<{ one: Measured; zombies: number }> {
  const before = await stage.cluster.whenWhole(wholeWithinMs, stage.signal);
  const quietFrom = clock.now();
  await clock.sleep(quietMs);
  const quietGapMs = stage.meter.longestGap(quietFrom, clock.now()).ms;
  const { result, zombieAcknowledged } = await runEvent(kind, stage);
  const demote = kind === "switchover" ? demoteParts(before) : {};
  return { one: { event: result, quietGapMs, demote }, zombies: zombieAcknowledged.length };
}

/** From the last line of the host's log about it, for example `… stepped down position=7 drain_ms=1.2 stop_ms=30`. */
function demoteParts(host: HostMember): Record<string, number> {
  const line = readFileSync(host.logFile, "utf8")
    .split("\n")
    .findLast((one) => one.includes(": stepped down "));
  if (line === undefined) throw new Error(`${host.id} stepped down, and ${host.logFile} does not say so`);
  return Object.fromEntries(
    partsOfDemote.map((part) => [part, Number(new RegExp(`${part}_ms=([\\d.]+)`).exec(line)?.[1] ?? Number.NaN)]),
  );
}

function applicationOf({ event, demote }: Measured): number {
  return event.phases.start + (demote["stop"] ?? 0);
}

function withoutApplication(one: Measured): number {
  return one.event.gapMs - applicationOf(one);
}

function restOf({ event }: Measured): number {
  return event.gapMs - Object.values(event.phases).reduce((sum, ms) => sum + ms, 0);
}

interface Summary {
  readonly count: number;
  readonly phases_ms: Readonly<Record<string, Spread>>;
  readonly application_ms: Spread;
  readonly gap_ms: Spread;
  readonly without_application_ms: Spread;
  readonly rest_ms: Spread;
}

function summaryOf(measured: readonly Measured[], kind: EventKind): Summary {
  const common = commonPhases.map((name) => [name, spreadOf(measured.map(({ event }) => event.phases[name]))] as const);
  const parts = partsOfDemote.map(
    (name) => [name, spreadOf(measured.map(({ demote }) => demote[name] ?? Number.NaN))] as const,
  );
  return {
    count: measured.length,
    phases_ms: Object.fromEntries(kind === "switchover" ? [...parts, ...common] : common),
    application_ms: spreadOf(measured.map(applicationOf)),
    gap_ms: spreadOf(measured.map(({ event }) => event.gapMs)),
    without_application_ms: spreadOf(measured.map(withoutApplication)),
    rest_ms: spreadOf(measured.map(restOf)),
  };
}

type Kinds = Partial<Record<EventKind, Summary>>;

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => rounded(percentile(sorted, share), 1);
  return { p50: at(0.5), p95: at(0.95), p99: sorted.length < p99CountMin ? null : at(0.99), max: at(1) };
}

interface Goal {
  readonly goal: string;
  readonly limit: number;
  readonly found: number;
  readonly met: boolean;
}

function goalsOf(kinds: Kinds, { requests, writes }: VerdictObject): Goal[] {
  const below = (goal: string, limit: number, found: number): Goal => ({ goal, limit, found, met: found < limit });
  const none = (goal: string, found: number): Goal => ({ goal, limit: 0, found, met: found === 0 });
  const goals: Goal[] = [];
  if (kinds.kill !== undefined) {
    const { p50, p99, max } = kinds.kill.without_application_ms;
    goals.push(
      below("kill p50 ms", 200, p50),
      below(p99 === null ? "kill p99 ms (max, too few for p99)" : "kill p99 ms", 500, p99 ?? max),
    );
  }
  if (kinds.hang !== undefined) goals.push(below("hang p50 ms", 1_500, kinds.hang.without_application_ms.p50));
  if (kinds.switchover !== undefined)
    goals.push(below("switchover p50 ms", 50, kinds.switchover.without_application_ms.p50));
  if (kinds["hang-application"] !== undefined) {
    const { p50, max } = kinds["hang-application"].gap_ms;
    const { patienceMs } = options;
    goals.push(below(`hang-application gap max ms (patience ${patienceMs})`, patienceMs + hangApplicationOverMs, max));
    if (patienceMs <= 1_000) goals.push(below("hang-application gap p50 ms", 2_000, p50));
  }
  return [...goals, none("requests failed", requests.failed), none("writes missing", writes.missing)];
}

function print(kinds: Kinds, quiet: Spread, goals: readonly Goal[], verdict: VerdictObject): void {
  const cell = (value: number | null): string => (value === null ? "-" : value.toFixed(1)).padStart(9);
  const row = (name: string, { p50, p95, p99, max }: Spread): string =>
    `  ${name.padEnd(24)}${cell(p50)}${cell(p95)}${cell(p99)}${cell(max)}`;
  for (const [kind, summary] of Object.entries(kinds)) {
    const { count, phases_ms, application_ms, gap_ms, without_application_ms, rest_ms } = summary;
    say(`\n${`${kind}, ${count} times, ms`.padEnd(26)}      p50      p95      p99      max`);
    for (const [name, spread] of Object.entries(phases_ms)) say(row(name, spread));
    say(row("rest of the gap", rest_ms));
    say(row("gap", gap_ms));
    say(row("application stop + start", application_ms));
    say(row("gap without these", without_application_ms));
  }
  say(`\n${row("quiet second, no event", quiet)}\n`);
  for (const line of verdictLines(verdict)) say(line);
  say("\ngoals, the application's own stop and start subtracted where they are phases:");
  for (const { goal, limit, found, met } of goals)
    say(`${met ? "✓" : "✗"} ${goal}: ${found} (${limit === 0 ? "goal 0" : `goal below ${limit}`})`);
}

/** TOML for the hosts of the cluster. */
function healthTable(patience: string | undefined): string {
  return patience === undefined ? "" : `\n[host.application.health]\npatience = "${patience}"\n`;
}
