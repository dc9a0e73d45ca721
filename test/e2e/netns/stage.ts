/**
 * A cluster whose members each have a network of their own, under load from clients outside; scenarios cut it and heal
 * it.
 *
 * Clients: one load through each gateway with a meter of its own, and one that talks to the first primary directly,
 * past all gateways, so that a primary that was cut off and is replaced has a client to answer wrongly. All share one
 * history, which sees every read that is older than what another client was shown before (`stale`).
 */
import type { Cluster, GatewayMember, HostMember, Member } from "../../../harness/cluster.ts";
import { demoApplication } from "../../../harness/applications.ts";
import { GatewayView } from "../../../harness/gateway-view.ts";
import { History, type ViolationKind } from "../../../harness/history.ts";
import { Load } from "../../../harness/load.ts";
import type { GroupProcess } from "../../../harness/processes.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "../harness.ts";
import { Namespaces } from "./namespaces.ts";
import { VaultAccess } from "./vault-access.ts";

export interface StageOptions {
  readonly gateways: number;
  readonly seed: number;
}

/** What a scenario came to. */
export interface ScenarioResult {
  readonly failovers: number;
  /** The longest time without a success, for the clients of each gateway. */
  readonly gapMs: readonly number[];
  /** From the heal until everything is whole and every gateway serves. */
  readonly convergeMs: number;
  readonly acknowledged: number;
  readonly missing: number;
  readonly stale: number;
  /** All other breaches: undone, duplicate, invented, … */
  readonly wrong: number;
  readonly failed: number;
  readonly unknown: number;
  readonly answered: number;
  readonly violations: readonly string[];
  readonly failures: readonly string[];
}

const service = "notes";
const hostCount = 3;
const workersPerGateway = 6;
const requestsPerSecond = 150;
const requestTimeoutMs = 60_000;
const directWorkers = 3;
const directPerSecond = 60;
const directTimeoutMs = 2_000;
const wholeWithinMs = 40_000;
const failoverWithinMs = 20_000;
/** Writes through each gateway that show that it serves again. */
const answersAfterHeal = 20;

export class Stage {
  readonly cluster: Cluster;
  readonly network: Namespaces;
  readonly vault: VaultAccess;
  readonly hosts: readonly string[];
  readonly gateways: readonly string[];
  readonly #bench: Bench;
  readonly #history = new History();
  readonly #loads: Load[] = [];
  readonly #views: readonly GatewayView[];
  readonly #options: StageOptions;
  readonly #dead: string[] = [];
  #direct: Load | undefined;
  #primary: HostMember | undefined;

  private constructor(bench: Bench, cluster: Cluster, network: Namespaces, vault: VaultAccess, options: StageOptions) {
    this.#bench = bench;
    this.cluster = cluster;
    this.network = network;
    this.vault = vault;
    this.#options = options;
    this.hosts = cluster.hosts.map(({ id }) => id);
    this.gateways = cluster.gateways.map(({ id }) => id);
    this.#views = cluster.gateways.map(
      ({ adminUrl }) => new GatewayView(adminUrl, cluster.secret, service, systemClock),
    );
  }

  static async open(options: StageOptions): Promise<Stage> {
    const bench = openBench();
    let network: Namespaces | undefined;
    try {
      const gateways = Array.from({ length: options.gateways }, (_, index) => `gateway-${index + 1}`);
      const made = (network = await Namespaces.create([
        ...gateways,
        ...Array.from({ length: hostCount }, (_, index) => `host-${index + 1}`),
      ]));
      const vault = new VaultAccess(bench.folder);
      const isHost = (id: string): boolean => id.startsWith("host-");
      const cluster = await bench.cluster({
        hosts: hostCount,
        gateways: options.gateways,
        places: {
          addressOf: (id) => made.addressOf(id),
          vaultOf: (id) => vault.pathOf(id),
          vault: vault.vault,
          commandOf: (id, command) => made.commandIn(id, isHost(id) ? vault.commandOf(id, command) : command),
        },
      });
      const stage = new Stage(bench, cluster, made, vault, options);
      await stage.#start();
      return stage;
    } catch (error) {
      await bench.close();
      await network?.close();
      throw error;
    }
  }

  /** The host that was primary when the scenario began. */
  get primary(): string {
    return this.#primaryMember().id;
  }

  get secondaries(): readonly string[] {
    return this.hosts.filter((id) => id !== this.primary);
  }

  pidOf(id: string): number {
    return this.#processOf(id).pid;
  }

  /**
   * At once, with SIGKILL; resolves when they are gone. What the clients of a killed gateway are refused is not
   * counted.
   */
  async kill(ids: readonly string[]): Promise<void> {
    this.#dead.push(...ids);
    const processes = ids.map((id) => this.#processOf(id));
    for (const one of processes) one.signal("SIGKILL");
    await Promise.all(processes.map((one) => one.ended));
  }

  async restart(ids: readonly string[]): Promise<void> {
    for (const id of ids) await this.cluster.start(this.#member(id));
  }

  /** Waits until another host than the first says that it is primary. */
  async newPrimary(): Promise<string> {
    const old = this.primary;
    return this.cluster.until(
      `a primary other than ${old}`,
      failoverWithinMs,
      never,
      () => "there is none",
      async () => {
        const found = await this.cluster.primary();
        return found === undefined || found.host.id === old ? undefined : found.host.id;
      },
    );
  }

  /** Faults, then heals what was cut, waits until everything is whole, reads everything back and judges. */
  async play(faults: (stage: Stage) => Promise<void>): Promise<ScenarioResult> {
    const before = (await this.cluster.primary())?.status.epoch ?? 0;
    const startedAt = systemClock.now();
    await faults(this);
    await this.vault.heal();
    await this.network.heal();
    const healedAt = systemClock.now();
    await this.#whole();
    const wholeAt = systemClock.now();
    const after = (await this.cluster.primary())?.status.epoch ?? 0;
    const gapMs = this.#loads.map((load) => Math.round(load.meter.longestGap(startedAt, wholeAt).ms));
    return { failovers: after - before, gapMs, convergeMs: Math.round(wholeAt - healedAt), ...(await this.#judge()) };
  }

  async close(): Promise<void> {
    this.vault.close();
    await Promise.all(
      [...this.#loads, ...(this.#direct === undefined ? [] : [this.#direct])].map((load) => load.close()),
    );
    await this.#bench.close();
    await this.network.close();
  }

  async #start(): Promise<void> {
    const { cluster } = this;
    await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
    this.#primary = await cluster.whenWhole(wholeWithinMs, never);
    await this.#allServe();
    for (const [index, gateway] of cluster.gateways.entries()) this.#loads.push(await this.#startLoad(gateway, index));
    this.#direct = this.#load(this.#primaryMember().dataUrl, 99, directWorkers, directPerSecond, directTimeoutMs);
    await this.#direct.start();
    await this.#answered(answersAfterHeal);
  }

  async #startLoad(gateway: GatewayMember, index: number): Promise<Load> {
    const load = this.#load(
      gateway.url,
      index,
      workersPerGateway,
      requestsPerSecond / this.cluster.gateways.length,
      requestTimeoutMs,
    );
    await load.start();
    return load;
  }

  #load(url: string, index: number, workers: number, perSecond: number, timeoutMs: number): Load {
    const model = demoApplication("notes", this.#bench.folder).makeModel(`n${index}`, workers);
    const seed = this.#options.seed * 100 + index;
    return new Load({
      urls: [url],
      model,
      history: this.#history,
      clock: systemClock,
      seed,
      workers,
      requestsPerSecond: perSecond,
      timeoutMs,
    });
  }

  async #whole(): Promise<void> {
    await this.cluster.whenWhole(wholeWithinMs, never);
    await this.#allServe();
    await this.#answered(answersAfterHeal);
  }

  async #allServe(): Promise<void> {
    await this.cluster.until(
      "every gateway to serve",
      wholeWithinMs,
      never,
      () => "one does not",
      async () => {
        const serving = await Promise.all(this.#views.map((view) => view.isServing().catch(() => false)));
        return serving.every(Boolean) ? true : undefined;
      },
    );
  }

  async #answered(more: number): Promise<void> {
    const goals = this.#loads.map((load) => load.meter.count + more);
    await this.cluster.until(
      `${more} answers through each gateway`,
      wholeWithinMs,
      never,
      () => this.#failures().join("; "),
      () =>
        Promise.resolve(this.#loads.every((load, index) => load.meter.count >= (goals[index] ?? 0)) ? true : undefined),
    );
  }

  async #judge(): Promise<Omit<ScenarioResult, "failovers" | "gapMs" | "convergeMs">> {
    await this.#direct?.close();
    await Promise.all(this.#loads.map((load) => load.stop()));
    const reader = this.#load(this.cluster.gateways[0]?.url ?? "", 98, 1, 1, requestTimeoutMs);
    const model = demoApplication("notes", this.#bench.folder).makeModel("read-back", 1);
    const { entries } = await model.readBack((path) => reader.get(path));
    await reader.close();
    const history = this.#history;
    const { acknowledged, missing } = history.finish(entries);
    const sum = (of: readonly Load[], pick: (load: Load) => number): number =>
      of.reduce((total, load) => total + pick(load), 0);
    const others: readonly ViolationKind[] = ["duplicate", "undone", "invented", "sum", "incomplete", "zombie-process"];
    return {
      acknowledged,
      missing,
      stale: history.count("stale"),
      wrong: others.reduce((total, kind) => total + history.count(kind), 0),
      failed: sum(this.#livingLoads(), (load) => load.counts.failed),
      unknown: sum(this.#loads, (load) => load.counts.unknown),
      answered: sum(this.#loads, (load) => load.counts.ok),
      violations: history.violations.map(({ kind, detail }) => `${kind}: ${detail}`),
      failures: this.#failures(),
    };
  }

  #member(id: string): Member {
    const member = [...this.cluster.hosts, ...this.cluster.gateways].find((one) => one.id === id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  #processOf(id: string): GroupProcess {
    const { process } = this.#member(id);
    if (process === undefined) throw new Error(`${id} does not run`);
    return process;
  }

  #failures(): string[] {
    return this.#livingLoads().flatMap((load) => load.failures);
  }

  #livingLoads(): Load[] {
    return this.#loads.filter((_, index) => !this.#dead.includes(this.gateways[index] ?? ""));
  }

  #primaryMember(): HostMember {
    if (this.#primary === undefined) throw new Error("the stage has not started");
    return this.#primary;
  }
}
