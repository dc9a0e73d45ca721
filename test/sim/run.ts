/**
 * One history from one seed: a cluster comes up, clients work, faults come, everything heals, and then it must
 * converge, serve, and be right.
 */
import { allRules, type Rules } from "../../src/core/rules.ts";
import { withPiecesOf } from "../../src/core/files/file-entry.ts";
import { checksumText } from "../../src/capture/page-hashes.ts";
import { Checker } from "./checker.ts";
import { Cluster, service } from "./cluster.ts";
import type { Counts } from "./coverage.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { drawFaults, type Fault } from "./faults.ts";
import type { Operation } from "./history.ts";
import { Nemesis } from "./nemesis.ts";
import {
  drawFileEvery,
  drawFiles,
  drawHttp,
  drawOptions,
  drawSegments,
  healMsMax,
  isEncryptedIn,
  pausesHandoverIn,
  type SimOptions,
} from "./options.ts";
import { SimClient } from "./sim-client.ts";
import { gatewayOf } from "./sim-gateway.ts";
import { simPieceBytes } from "./sim-uploads.ts";
import type { TraceLine } from "./trace.ts";
import { withoutTurns } from "./without-turns.ts";
import { World } from "./world.ts";

export interface RunOptions {
  readonly seed: number;
  readonly rules?: Rules;
  /** In place of what the seed draws. */
  readonly options?: Partial<SimOptions>;
  readonly faults?: readonly Fault[];
  readonly keepTrace?: boolean;
}

export interface Figures {
  readonly failovers: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly notExecuted: number;
  readonly setAsides: number;
  readonly fileSetAsides: number;
  /** Of files, as flushes had them. */
  readonly fileChunks: number;
  readonly samePieces: number;
  readonly links: number;
  readonly folders: number;
  /** Primaries that found another's record at their next position. */
  readonly fenced: number;
  readonly restores: number;
  readonly ambiguousPuts: number;
  readonly lostReplies: number;
  readonly staleMisses: number;
  readonly failedSyncs: number;
  readonly events: number;
  readonly virtualMs: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Of hosts and gateways, and of faults that met (coverage.ts). */
  readonly transitions: Readonly<Counts>;
  readonly pairs: Readonly<Counts>;
}

export interface RunResult {
  readonly seed: number;
  readonly options: SimOptions;
  readonly faults: readonly Fault[];
  readonly violations: readonly string[];
  readonly hash: string;
  readonly figures: Figures;
  readonly trace: readonly TraceLine[];
  readonly operations: readonly Operation[];
}

/** A service that has never served cannot show anything: it must come up within this time. */
const upMsMax = 20_000;
/** Whether all is well need not be asked after every event. */
const lookEveryMs = 5;
/** Virtual. From the last answer to a client until all databases are what the log says. */
const settleLookMs = 50;
const settleMsMax = 8_000;
/** Virtual. For the last reads, and between two tries of one. */
const readsMsMax = 15_000;
const askAgainMs = 100;

export async function run(request: RunOptions): Promise<RunResult> {
  using _still = withoutTurns();
  using _small = withPiecesOf(simPieceBytes);
  const dice = new SeededRandom(request.seed);
  const drawn = drawOptions(dice.fork("options"));
  const options: SimOptions = {
    ...drawn,
    ...drawSegments(request.seed, drawn, request.options?.log),
    isEncrypted: isEncryptedIn(request.seed),
    pausesHandover: pausesHandoverIn(request.seed),
    http: drawHttp(request.seed),
    fileEvery: drawFileEvery(request.seed),
    files: drawFiles(request.seed),
    ...request.options,
  };
  const faults = request.faults ?? drawFaults(dice.fork("faults"), options, 2_000);
  const world = new World({ keepTrace: request.keepTrace ?? false });
  const { pageSize, keys, fileEvery } = options;
  const { coversIncoming } = options.files;
  const checker = new Checker({ world, service, pageSize, keys, fileEvery, coversIncoming });
  const rules = request.rules ?? allRules;
  const cluster = new Cluster({ world, dice: dice.fork("cluster"), options, rules, checker });
  const operations: Operation[] = [];
  const newClient = (name: string): SimClient =>
    new SimClient({
      world,
      network: cluster.network,
      dice: dice.fork(`client ${name}`),
      name,
      gateways: cluster.gateways,
      options: {
        thinkMs: options.thinkMs,
        timeoutMs: options.clientTimeoutMs,
        writeShare: options.writeShare,
        putShare: options.putShare,
        poisonShare: options.poisonShare,
        longShare: options.longShare,
        keys: options.keys,
      },
      operations,
    });
  const clients = Array.from({ length: options.clients }, (_, i) => newClient(`c${i + 1}`));
  const nemesis = new Nemesis(world, cluster, newClient("poisoner"), faults);
  const isBroken = (): boolean => checker.violations.length > 0;
  const isUp = await world.runUntil(upMsMax, () => isBroken() || cluster.unwell() === undefined);
  // Where faults have begun meanwhile they may be why; `converge` asks once they are over.
  if (!isUp && nemesis.begun.length === 0) checker.onViolation(`the service never came up: ${cluster.unwell()}`);
  for (const client of clients) client.start();
  const faultyUntil = 2_000 + options.faultyMs;
  if (!isBroken()) await world.runUntil(faultyUntil, isBroken);
  if (!isBroken()) {
    nemesis.stop();
    world.say("FAULT", "everything heals");
    cluster.heal();
    await converge({ world, cluster, checker, clients });
  }
  if (!isBroken()) await checker.finish(operations);
  if (!isBroken() && options.isWell && checker.claims.length > 1)
    checker.onViolation(`a healthy primary was replaced: ${checker.claims.length} claims`);
  if (!isBroken()) await auditSegments(cluster, request.seed);
  world.coverage.met(nemesis.begun);
  return {
    seed: request.seed,
    options,
    faults,
    violations: checker.violations,
    hash: world.trace.hash,
    figures: figuresOf({ checker, cluster, operations, world, nemesis }),
    trace: world.trace.lines,
    operations,
  };
}

/** Without any host, and after a power failure of the vault. */
async function auditSegments({ oracle, hosts, vault }: Cluster, seed: number): Promise<void> {
  if (oracle === undefined) return;
  for (const { process } of hosts) process?.kill("power");
  vault.losePower();
  await oracle.audit(new SeededRandom(`audit ${seed}`));
}

interface Parts {
  readonly world: World;
  readonly cluster: Cluster;
  readonly checker: Checker;
  readonly clients: readonly SimClient[];
}

async function converge({ world, cluster, checker, clients }: Parts): Promise<void> {
  const isBroken = (): boolean => checker.violations.length > 0;
  // A host that could not stay primary has said when it tries again; no operator mends it by hand, so it is waited for.
  const healedAt = world.now;
  const until = healedAt + healMsMax + cluster.retryInMs;
  let hasBeenWellSince: number | undefined;
  let lookedAt = -Infinity;
  const isWell = (): boolean => {
    if (isBroken()) return true;
    if (world.now - lookedAt < lookEveryMs) return false;
    lookedAt = world.now;
    if (cluster.unwell() !== undefined) hasBeenWellSince = undefined;
    else hasBeenWellSince ??= world.now;
    return hasBeenWellSince !== undefined && world.now - hasBeenWellSince > 500;
  };
  if (!(await world.runUntil(until, isWell)))
    return checker.onViolation(
      `not well ${(until - healedAt).toFixed(0)} ms after everything had healed: ${cluster.unwell()}`,
    );
  for (const client of clients) client.stop();
  await world.runUntil(until, () => isBroken() || clients.every((client) => client.isIdle));
  await finalReads({ world, cluster, checker, clients });
  const settling = world.now + settleMsMax;
  while (!isBroken() && world.now < settling && unsettled({ cluster, checker }) !== undefined)
    await world.runUntil(world.now + settleLookMs, isBroken);
  const different = unsettled({ cluster, checker });
  if (different !== undefined) checker.onViolation(different);
  for (const machine of cluster.gateways) {
    const most = gatewayOf(machine.process)?.heldMost ?? 0;
    if (most > cluster.heldMax) checker.onViolation(`${machine.name} held ${most} requests`);
  }
}

/**
 * What differs from the log still. It takes a moment: a host that retention left behind notices it within a lease, and
 * what a primary has committed for a client that is gone is on its way to the journal.
 */
function unsettled({ cluster, checker }: Pick<Parts, "cluster" | "checker">): string | undefined {
  const behind = cluster.behind(checker.position);
  if (behind !== undefined) return `a secondary does not catch up: ${behind}`;
  const wanted = checksumText(checker.log.hashes.checksum());
  const differing = cluster.hosts.find(
    ({ disk }) => checksumText(disk.database?.hashes.checksum() ?? new Uint8Array(16)) !== wanted,
  );
  if (differing !== undefined) return `the databases of ${differing.name} are not what the log says`;
  const unlike = cluster.hosts.find(({ disk }) => !checker.hasFilesOf(disk.files));
  if (unlike !== undefined) return `the files of ${unlike.name} are not what the log says`;
  const lost = cluster.lostStrays()[0];
  if (lost !== undefined) return lost;
  const disagreement = cluster.disagreement();
  return disagreement === undefined ? undefined : `gateways do not agree: ${disagreement}`;
}

/**
 * Every key through every gateway: the last word that the history must agree with. The network loses packets still, so
 * a gateway with a short temper may just be failing over: what is refused is asked again, until the time is over.
 */
async function finalReads({ world, cluster, checker, clients }: Parts): Promise<void> {
  const [client] = clients;
  if (client === undefined) return;
  let open = 0;
  for (const gateway of cluster.gateways) {
    for (let key = 0; key < cluster.keys; key++) {
      open += 1;
      const ask = (): void =>
        client.ask({ kind: "read", key }, gateway, (outcome) => {
          if (outcome.kind === "ok") open -= 1;
          else world.after(askAgainMs, "ask again", ask);
        });
      ask();
    }
  }
  await world.runUntil(world.now + readsMsMax, () => open === 0);
  // A request is set aside when requests like it have ended the application; it is refused until its trial.
  const { trialInMs } = cluster;
  if (open > 0 && trialInMs > 0)
    await world.runUntil(world.now + Math.max(trialInMs, cluster.restartWindowMs) + readsMsMax, () => open === 0);
  if (open > 0) checker.onViolation(`a well service left ${open} reads without a good answer for ${readsMsMax} ms`);
}

function figuresOf({
  checker,
  cluster,
  operations,
  world,
  nemesis,
}: {
  checker: Checker;
  cluster: Cluster;
  operations: readonly Operation[];
  world: World;
  nemesis: Nemesis;
}): Figures {
  const count = (kind: Operation["outcome"]["kind"]): number =>
    operations.filter(({ outcome }) => outcome.kind === kind).length;
  return {
    failovers: Math.max(0, checker.claims.length - 1),
    acknowledged: count("ok"),
    unknown: count("unknown"),
    notExecuted: count("not-executed"),
    setAsides: checker.setAsides,
    fileSetAsides: checker.fileSetAsides,
    fileChunks: checker.fileCounts.chunks,
    samePieces: checker.fileCounts.same,
    links: checker.fileCounts.links,
    folders: checker.fileCounts.folders,
    fenced: cluster.fenced,
    restores: cluster.restores,
    ambiguousPuts: cluster.vault.counts.ambiguousPuts,
    lostReplies: cluster.vault.counts.lostReplies,
    staleMisses: cluster.vault.counts.staleMisses,
    failedSyncs: cluster.vault.counts.failedSyncs,
    events: world.trace.events,
    virtualMs: world.now,
    transitions: world.coverage.transitions,
    pairs: world.coverage.pairs,
    faults: Object.fromEntries([...nemesis.counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
