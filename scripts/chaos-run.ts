/**
 * One chaos run: a cluster of real processes, clients in a process of their own, faults drawn by the seed one after the
 * other and sometimes two at once, and in between restarts of processes that ended by themselves, as a service manager
 * makes them. At the end every fault is mended, the cluster must be healthy within a stated time, and the clients'
 * history is judged.
 *
 * The seed fixes which faults are drawn; processes are real, so a run is not repeated exactly.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { demoApplication, type DemoApplicationName } from "../harness/applications.ts";
import { Cluster, type Member, type MemberPlaces } from "../harness/cluster.ts";
import { SeededRandom } from "../harness/seeded-random.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { missingForNamespaces, missingForVaultCuts } from "../test/e2e/netns/missing.ts";
import { Namespaces } from "../test/e2e/netns/namespaces.ts";
import { VaultAccess } from "../test/e2e/netns/vault-access.ts";
import type { ClientMessage, ClientOptions, ClientResult } from "./chaos-clients.ts";
import { withIllManners } from "./chaos-application.ts";
import { drawFault } from "./chaos-faults.ts";
import { SmallDisk } from "./chaos-disk.ts";
import type { ChaosWorld, Fault } from "./chaos-world.ts";

export interface ChaosOptions {
  readonly app: DemoApplicationName;
  readonly seed: number;
  readonly durationMs: number;
  readonly hosts: number;
  readonly gateways: number;
  readonly requestsPerSecond: number;
  /** Of `faultNames`. */
  readonly faults: readonly string[];
  /** The program that runs hosts and gateways. */
  readonly program: readonly [string, ...string[]];
  /** Copies the logs there when the run was not good. */
  readonly keepLogs: string | undefined;
  say(line: string): void;
}

/** A member that ended without being killed. */
export interface SelfExit {
  readonly id: string;
  readonly code: number | string | null;
  readonly atMs: number;
}

export interface ChaosResult {
  readonly faults: Readonly<Record<string, number>>;
  readonly epochs: number;
  readonly exits: readonly SelfExit[];
  /** From the last mend until one primary, the others secondaries, every gateway serving; null: not in time. */
  readonly convergedMs: number | null;
  readonly client: ClientResult | undefined;
  /** Why it is not good; empty: good. */
  readonly wrong: readonly string[];
}

/**
 * Frequent checkpoints and a short window, so that retention runs and hosts are left behind; a patience that ends
 * within the faults that are drawn, and as many restarts as they ask for.
 */
const hostExtra = [
  '\n[host.checkpoint]\ninterval = "8s"\nkeep = 2\nwindow = "15s"\n',
  '[host.application.health]\npatience = "1500ms"\n',
  "[host.application.restarts]\nmax = 5\n",
].join("");
const wholeWithinMs = 60_000;
const restartAfterMs = 500;
const watchEveryMs = 100;
const pauseMaxMs = 1_500;
const secondFault = 0.3;
const clientsWithinMs = 90_000;
const closeGraceMs = 3_000;
const never = new AbortController().signal;

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const folder = mkdtempSync(join(tmpdir(), "stead-chaos-"));
  const keeper = new ProcessKeeper(folder);
  const closers: (() => Promise<void>)[] = [];
  let result: ChaosResult;
  try {
    const world = await prepare(folder, keeper, options, closers);
    result = await play(folder, world, options);
    if (result.wrong.length > 0 && options.keepLogs !== undefined) copyLogs(world.cluster, options.keepLogs);
  } finally {
    // The vault's disk thaws first, so that no process waits for it; a hanging mount lets go.
    for (const close of closers) await close();
    await keeper.close(closeGraceMs);
  }
  const left = applicationsOf(folder);
  for (const pid of left) process.kill(pid, "SIGKILL");
  return left.length === 0
    ? result
    : { ...result, wrong: [...result.wrong, `${left.length} processes of applications outlived their hosts`] };
}

/**
 * Processes that still have their databases in `folder`: none, when everything has ended. Linux only; elsewhere none is
 * found.
 */
function applicationsOf(folder: string): number[] {
  if (!existsSync("/proc/self/environ")) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`STEAD_DATA=${folder}/`);
      } catch {
        return false; // It ended meanwhile.
      }
    });
}

/** Processes that the application of a following host has left behind; one sentence for each host. */
async function straysOf({ cluster }: ChaosWorld): Promise<string[]> {
  const found: string[] = [];
  for (const host of cluster.hosts) {
    if ((await cluster.statusOf(host))?.role !== "secondary") continue;
    const left = applicationsOf(host.folder);
    if (left.length > 0 && (await cluster.statusOf(host))?.role === "secondary")
      found.push(`${host.id} follows, and processes of its application live on: ${left.join(", ")}`);
  }
  return found;
}

async function prepare(
  folder: string,
  keeper: ProcessKeeper,
  options: ChaosOptions,
  closers: (() => Promise<void>)[],
): Promise<ChaosWorld> {
  const { app, say } = options;
  const names = (what: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${what}-${index + 1}`);
  const members = [...names("gateway", options.gateways), ...names("host", options.hosts)];
  const missing = missingForNamespaces() ?? missingForVaultCuts();
  let network: Namespaces | undefined;
  let vaultAccess: VaultAccess | undefined;
  let vaultDisk: SmallDisk | undefined;
  const disks = new Map<string, SmallDisk>();
  if (missing === undefined) {
    network = await Namespaces.create(members);
    closers.push(() => network?.close() ?? Promise.resolve());
    vaultAccess = new VaultAccess(folder);
    closers.unshift(() => Promise.resolve(vaultAccess?.close()));
    const mounted = async (name: string): Promise<SmallDisk | undefined> => {
      const disk = await SmallDisk.mount(join(folder, `${name}.img`), join(folder, name), say);
      if (disk !== undefined) closers.unshift(() => disk.close());
      return disk;
    };
    vaultDisk = await mounted("vault");
    for (const id of vaultDisk === undefined ? [] : members) {
      const disk = await mounted(id);
      if (disk !== undefined) disks.set(id, disk);
    }
  } else say(`no network is cut and no host loses the vault: ${missing}`);
  const application = withIllManners(demoApplication(app, folder));
  const places = network === undefined || vaultAccess === undefined ? {} : { places: placesOf(network, vaultAccess) };
  const cluster = await Cluster.create({
    folder,
    service: app,
    application,
    hosts: options.hosts,
    gateways: options.gateways,
    keeper,
    clock: systemClock,
    hostExtra,
    hostKeys: app === "notes" ? 'files = ["attachments/**"]\n' : "",
    program: options.program,
    ...places,
  });
  return { cluster, service: app, network, vaultAccess, vaultDisk, disks, taken: new Set() };
}

function placesOf(network: Namespaces, vault: VaultAccess): MemberPlaces {
  return {
    addressOf: (id) => network.addressOf(id),
    vaultOf: (id) => vault.pathOf(id),
    vault: vault.vault,
    commandOf: (id, command) => network.commandIn(id, id.startsWith("host-") ? vault.commandOf(id, command) : command),
  };
}

async function play(folder: string, world: ChaosWorld, options: ChaosOptions): Promise<ChaosResult> {
  const { cluster } = world;
  const { say } = options;
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, never);
  const startedAt = systemClock.now();
  const firstEpoch = (await cluster.primary())?.status.epoch ?? 0;
  const clients = await startClients({
    folder,
    app: options.app,
    seed: options.seed,
    gatewayUrls: cluster.gateways.map(({ url }) => url),
    hostUrls: cluster.hosts.map(({ dataUrl }) => dataUrl),
    requestsPerSecond: options.requestsPerSecond,
  });
  const manager = new ServiceManager(world, startedAt, say);
  const faults: Record<string, number> = {};
  const dice = new SeededRandom(options.seed);
  try {
    while (systemClock.now() - startedAt < options.durationMs) {
      const isDouble = dice.fraction() < secondFault;
      await Promise.all(
        Array.from({ length: isDouble ? 2 : 1 }, () => oneFault(world, dice, { faults, startedAt, options })),
      );
      await systemClock.sleep(pauseMaxMs * dice.fraction());
    }
    say("everything is mended");
    const mendedAt = systemClock.now();
    const trouble = await whole(world, clients, mendedAt + wholeWithinMs);
    const convergedMs = trouble === undefined ? Math.round(systemClock.now() - mendedAt) : null;
    say(
      trouble === undefined ? `whole again after ${convergedMs} ms` : `NOT whole after ${wholeWithinMs} ms: ${trouble}`,
    );
    const strays = await straysOf(world);
    const epochs = ((await cluster.primary())?.status.epoch ?? 0) - firstEpoch;
    const client = await clients.finish();
    const wrong = [
      ...(trouble === undefined ? [] : [`not whole: ${trouble}`]),
      ...strays,
      ...wrongOf(client),
      ...(await deletedAndThere(world, client)),
    ];
    return { faults, epochs, exits: manager.exits, convergedMs, client, wrong };
  } finally {
    await manager.close();
    clients.kill();
  }
}

async function oneFault(
  world: ChaosWorld,
  dice: SeededRandom,
  { faults: counts, startedAt, options }: { faults: Record<string, number>; startedAt: number; options: ChaosOptions },
): Promise<void> {
  const fault: Fault | undefined = await drawFault(world, dice, options.faults);
  if (fault === undefined || fault.takes.some((one) => world.taken.has(one))) return;
  for (const one of fault.takes) world.taken.add(one);
  options.say(
    `${((systemClock.now() - startedAt) / 1000).toFixed(2).padStart(8)} s  ${fault.kind} ${fault.on} for ${fault.lastsMs} ms`,
  );
  try {
    await fault.begin();
    counts[fault.kind] = (counts[fault.kind] ?? 0) + 1;
    await systemClock.sleep(fault.lastsMs);
    await fault.mend();
  } finally {
    for (const one of fault.takes) world.taken.delete(one);
  }
}

/**
 * Undefined when every member is healthy and every gateway has answered clients since; otherwise what is missing when
 * the time is over.
 */
async function whole({ cluster, service }: ChaosWorld, clients: Clients, until: number): Promise<string | undefined> {
  const views = cluster.gateways.map(({ adminUrl }) => new GatewayView(adminUrl, cluster.secret, service, systemClock));
  const okBefore = clients.ok;
  for (;;) {
    const statuses = await Promise.all(cluster.hosts.map((host) => cluster.statusOf(host)));
    const roles = statuses.map((status) => status?.role ?? "silent");
    const epochs = new Set(statuses.map((status) => status?.epoch));
    const serving = await Promise.all(views.map((view) => view.isServing().catch(() => false)));
    const isAnswered = clients.ok.every((ok, index) => ok > (okBefore[index] ?? 0) + 5);
    const isOne =
      roles.filter((role) => role === "primary").length === 1 &&
      roles.filter((role) => role === "secondary").length === roles.length - 1;
    if (isOne && epochs.size === 1 && serving.every(Boolean) && isAnswered) return undefined;
    if (systemClock.now() > until) {
      const hosts = cluster.hosts.map(({ id }, index) =>
        `${id} ${roles[index]} epoch ${statuses[index]?.epoch} ${statuses[index]?.reason ?? ""}`.trim(),
      );
      return `${hosts.join(", ")}; gateways serving: ${serving.join(", ")}; clients answered: ${isAnswered}`;
    }
    await systemClock.sleep(watchEveryMs);
  }
}

/** Files of attachments whose deletion was acknowledged. */
async function deletedAndThere({ cluster }: ChaosWorld, client: ClientResult | undefined): Promise<string[]> {
  const deleted = client?.attachments?.deletedFiles ?? [];
  const primary = await cluster.primary();
  if (primary === undefined || deleted.length === 0) return [];
  const there = new Set(readdirSync(join(primary.host.folder, "data", "attachments")));
  return deleted.filter((file) => there.has(file)).map((file) => `the file of a deleted attachment is there: ${file}`);
}

function wrongOf(client: ClientResult | undefined): string[] {
  if (client === undefined) return ["the clients did not come to a result"];
  const wrong = [...client.violations.slice(0, 20), ...client.breaches.map((breach) => `not linearizable: ${breach}`)];
  if (client.missing > 0) wrong.unshift(`${client.missing} acknowledged writes are missing`);
  if (client.broken !== undefined) wrong.push(`invariant: ${client.broken}`);
  if (client.acknowledged === 0) wrong.push("no write was acknowledged at all");
  if (client.attachments?.uploaded === 0) wrong.push("no attachment was acknowledged at all");
  return wrong;
}

/** Starts members again that ended by themselves, and records their ends. */
class ServiceManager {
  readonly exits: SelfExit[] = [];
  readonly #stop = new AbortController();
  readonly #work: Promise<void>;

  constructor(world: ChaosWorld, startedAt: number, say: (line: string) => void) {
    this.#work = this.#watch(world, startedAt, say);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  async #watch({ cluster, taken }: ChaosWorld, startedAt: number, say: (line: string) => void): Promise<void> {
    const members: readonly Member[] = [...cluster.hosts, ...cluster.gateways];
    while (!this.#stop.signal.aborted) {
      for (const member of members) {
        const end = member.process?.end;
        if (end === undefined || taken.has(member.id)) continue;
        this.exits.push({
          id: member.id,
          code: end.code ?? end.signal,
          atMs: Math.round(systemClock.now() - startedAt),
        });
        say(`${member.id} ended by itself (${end.code ?? end.signal}); it is started again`);
        taken.add(member.id);
        await systemClock.sleep(restartAfterMs);
        await cluster.start(member);
        taken.delete(member.id);
      }
      await systemClock.sleep(watchEveryMs, this.#stop.signal).catch(() => undefined);
    }
  }
}

interface Clients {
  /** Answered so far, for each gateway. */
  readonly ok: readonly number[];
  finish(): Promise<ClientResult | undefined>;
  kill(): void;
}

async function startClients(options: ClientOptions): Promise<Clients> {
  const script = join(import.meta.dirname, "chaos-clients.ts");
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
  let ok: readonly number[] = options.gatewayUrls.map(() => 0);
  let result: ClientResult | undefined;
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once("close", () => reject(new Error("the clients ended before they had started")));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message = JSON.parse(line) as ClientMessage;
      if (message.kind === "started") resolve();
      else if (message.kind === "progress") ok = message.ok;
      else result = message;
    });
  });
  return {
    get ok() {
      return ok;
    },
    async finish() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), clientsWithinMs);
      await ended;
      clearTimeout(timer);
      return result;
    },
    kill: () => void child.kill("SIGKILL"),
  };
}

function copyLogs(cluster: Cluster, to: string): void {
  for (const { id, logFile } of [...cluster.hosts, ...cluster.gateways]) cpSync(logFile, join(to, `${id}.log`));
}
