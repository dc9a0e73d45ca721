/**
 * `bun run drills`: drills of all kinds in turns on one cluster (one gateway, three hosts) under a steady load, and how
 * well the gap was predicted before each.
 *
 * Below each drill are its phases, as expected/measured milliseconds.
 *
 * `--count N` drills (20), `--kinds kill,partition` (kill, hang, switchover, partition). The first drill of a kind
 * rests on configured times and the start of the application, the later ones on what was measured. Exit code 1 when a
 * drill failed, or the median error of the prediction is above 25 % of the measured gap.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { demoApplication } from "../harness/applications.ts";
import { Cluster } from "../harness/cluster.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import type { DrillEntry } from "../src/control/drill-api.ts";
import { GatewayClient } from "../src/control/gateway-client.ts";
import { type DrillKind, drillKinds } from "../src/core/failover/drill.ts";
import { median } from "../src/core/failover/prediction.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";

const service = "notes";
const wholeWithinMs = 60_000;
const errorMax = 0.25;
const requestEveryMs = 10;
/** Of a hang and a partition; long enough for the primary to be replaced. */
const forMs = 5_000;
const safeLookMs = 500;
const loadFirstMs = 2_000;
const safeWithinMs = 90_000;
const settledMs = 2_000;

const { values } = parseArgs({
  options: { count: { type: "string", default: "20" }, kinds: { type: "string", default: drillKinds.join(",") } },
});
const kinds = values.kinds.split(",").map((name) => {
  const kind = drillKinds.find((known) => known === name);
  if (kind === undefined) throw new Error(`--kinds: ${name} is none of ${drillKinds.join(", ")}`);
  return kind;
});

async function drillAll(count: number): Promise<boolean> {
  const application = demoApplication(service, folder);
  const cluster = await Cluster.create({
    ...{ folder, service, application, hosts: 3, gateways: 1, keeper, clock },
    hostExtra: '\n[host.application.health]\npatience = "2s"\n',
  });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("the cluster has no gateway");
  const stop = new AbortController();
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, stop.signal);
  const view = new GatewayView(gateway.adminUrl, cluster.caller, service, clock);
  const client = new GatewayClient(gateway.adminUrl, cluster.caller, clock);
  while (!(await view.isServing().catch(() => false))) await clock.sleep(safeLookMs);
  const background = Promise.all([
    load(`${gateway.url}${application.readPath}`, stop.signal),
    supervise(cluster, stop.signal),
  ]);
  // Traffic that is younger than a gap would count as none.
  await clock.sleep(loadFirstMs);
  const drills: DrillEntry[] = [];
  for (let each = 0; each < count; each++) {
    await whenSettled(client);
    const drill = await drillWhenSafe(client, kinds[each % kinds.length] ?? "kill");
    drills.push(drill);
    process.stdout.write(`${String(each + 1).padStart(3)}  ${lineOf(drill)}\n`);
  }
  stop.abort();
  await background;
  return verdict(drills);
}

/**
 * All hosts follow, and have for longer than a lease: one that has just begun to may have to wait for the leases of
 * claims that it learned of late, as after no other drill in operation.
 */
async function whenSettled(client: GatewayClient): Promise<void> {
  const until = clock.now() + safeWithinMs;
  for (let since = clock.now(); clock.now() - since < settledMs; await clock.sleep(safeLookMs)) {
    const answer = await client.cluster();
    const hosts = answer.kind === "ok" ? (answer.value.services[0]?.hosts ?? []) : [];
    const isWhole = hosts.length > 0 && hosts.every(({ role }) => role === "primary" || role === "secondary");
    if (!isWhole) since = clock.now();
    if (clock.now() > until) throw new Error("not every host follows");
  }
}

async function drillWhenSafe(client: GatewayClient, kind: DrillKind): Promise<DrillEntry> {
  const until = clock.now() + safeWithinMs;
  for (;;) {
    const answer = await client.drill({ kind, forMs });
    if (answer.kind === "ok") return answer.value;
    const why = answer.kind === "refused-by-gateway" ? answer.error : answer.message;
    if (clock.now() > until) throw new Error(`no ${kind} drill: ${why}`);
    await clock.sleep(safeLookMs);
  }
}

async function load(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await fetch(url, { signal }).then(
      (response) => response.arrayBuffer(),
      () => undefined,
    );
    await clock.sleep(requestEveryMs);
  }
}

async function supervise(cluster: Cluster, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const host of cluster.hosts) if (host.process?.end !== undefined) await cluster.start(host);
    await clock.sleep(requestEveryMs);
  }
}

const errorOf = ({ predictedMs, rtoMs }: DrillEntry): number =>
  Math.abs((predictedMs ?? 0) - (rtoMs ?? 0)) / Math.max(1, rtoMs ?? 0);

function lineOf(drill: DrillEntry): string {
  const ms = (value: number | null): string => `${Math.round(value ?? 0)} ms`.padStart(9);
  const phases = drill.phases.map(({ phase, expectedMs, measuredMs }) => {
    const [expected, measured] = [expectedMs, measuredMs].map((value) => (value === null ? "-" : Math.round(value)));
    return `${phase} ${expected}/${measured}`;
  });
  return `${drill.kind.padEnd(10)} ${drill.outcome.padEnd(7)} expected ${ms(drill.predictedMs)}  measured ${ms(drill.rtoMs)} (${drill.measuredBy})  error ${Math.round(100 * errorOf(drill))} %  ${drill.from} -> ${drill.to}: ${drill.detail}\n       ${phases.join(", ")}`;
}

function verdict(drills: readonly DrillEntry[]): boolean {
  for (const kind of kinds) {
    const errors = drills.filter((drill) => drill.kind === kind).map(errorOf);
    process.stdout.write(`${kind}: median error ${Math.round(100 * median(errors))} % of ${errors.length}\n`);
  }
  const failed = drills.filter(({ outcome }) => outcome !== "passed").length;
  const error = median(drills.map(errorOf));
  process.stdout.write(`median error of ${drills.length} drills: ${(100 * error).toFixed(1)} %; ${failed} failed\n`);
  return failed === 0 && error <= errorMax;
}

// The hosts' supervisor is this script: it starts what was killed again.
process.env["INVOCATION_ID"] = "drills";
const folder = mkdtempSync(join(tmpdir(), "stead-drills-"));
const keeper = new ProcessKeeper(folder);
try {
  process.exitCode = (await drillAll(Number(values.count))) ? 0 : 1;
} finally {
  await keeper.close(5_000);
}
